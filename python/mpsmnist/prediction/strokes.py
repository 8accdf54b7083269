"""Strokes as sharp as those of MNIST's digits, and as wide."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from .colours import Levels

FINE = 4  # pixels to draw with, for one of the prepared picture
NARROWEST, WIDEST = 1.8, 3.4  # pixels of the prepared picture; 80% of MNIST's training digits are between
NEIGHBOURS = 3  # pixels of the picture a side
WEAKEST, STRONGEST = 0.25, 0.6  # of full ink: less is paper, and more is ink, whatever is beside it


def redrawn(ink: Levels, side: int) -> Levels:
    """Draw ink again with strokes as wide as MNIST's, and with edges as sharp.

    MNIST's digits were black on white, without grey, before they were scaled to fit their box.

    Args:
        ink: 0 to 1.
        side: of the box that it is to be scaled to.

    Returns:
        The same digit, 0 to 1, in about FINE times as many pixels as the box has, with some paper around it.
    """
    scale = FINE * side / max(ink.shape)
    ink = np.pad(ink, 1)
    height, width = (max(1, round(length * scale)) for length in ink.shape)
    image = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    strokes = _strokes(np.pad(np.asarray(image), FINE * round(NARROWEST)), int(NEIGHBOURS * scale) | 1)
    if not strokes.any():
        return ink
    depth = ndimage.distance_transform_edt(strokes)
    depth -= np.where(strokes, 0.5, 0)  # to the edge, which is halfway between two pixels
    stroke = 4 * float(depth[strokes].mean())
    wider = min(max(stroke, FINE * NARROWEST), FINE * WIDEST) - stroke
    reach = math.ceil(max(stroke, FINE * NARROWEST) / 2)
    half = ndimage.maximum_filter(depth, 2 * reach + 1)
    moved = np.maximum(wider / 2, FINE * NARROWEST / 2 - half)  # a hair line beside a bold stroke, too
    depth -= (ndimage.distance_transform_edt(~strokes) - 0.5).clip(0, None)
    drawn: Levels = (depth + moved + 0.5).clip(0, 1).astype(np.float32)
    return drawn


def _strokes(ink: Levels, size: int) -> NDArray[np.bool_]:
    """Tell where ink is more than halfway from the weakest to the strongest beside it (J. Bernsen, 1986)."""
    halfway = (ndimage.maximum_filter(ink, size) + ndimage.minimum_filter(ink, size)) / 2
    strokes: NDArray[np.bool_] = ink > halfway.clip(WEAKEST, STRONGEST)
    return strokes
