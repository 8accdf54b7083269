"""Pictures of single digits, made to look like MNIST's: 28x28, light ink on black, centred by mass."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .reading import Picture, PictureError, reduced

SIDE = 28  # of the prepared picture
BOX = 20  # MNIST's digits fit into a box of this side, and their centre of mass is at pixel (14, 14)
CENTRE = 14
MIN_CONTRAST = 16  # grey levels from the background to the darkest or lightest spot; less is blank
NOISE = 0.1  # ink fainter than this share of the strongest is taken for paper grain or JPEG noise

Grey: TypeAlias = NDArray[np.uint8]


class Digit(NamedTuple):
    """A picture, ready for the network."""

    pixels: Grey  # (28, 28)
    inverted: bool  # it was dark on light


def prepare(picture: Picture, invert: bool | None = None) -> Digit:
    """Make a picture of one digit look like MNIST's.

    A 28x28 picture of light ink on black is taken as it is. Any other is inverted if it is dark on light,
    cropped to its ink, scaled to fit a 20x20 box and centred by its centre of mass, as MNIST's digits were.

    Args:
        picture: uint8, grey (h, w), colour (h, w, 3) or colour with alpha (h, w, 4).
        invert: whether it is dark on light; None judges by the border.

    Raises:
        PictureError: the picture is blank.
    """
    picture = _to_grey(reduced(picture))
    background = float(np.median(_border(picture)))
    inverted = background > 127 if invert is None else invert
    levels = picture.astype(np.float64)
    ink = (background - levels if inverted else levels - background).clip(0, None)
    if ink.max() < MIN_CONTRAST:
        raise PictureError("the picture is blank: nothing differs from its border")
    if picture.shape == (SIDE, SIDE) and not inverted and background < MIN_CONTRAST:
        return Digit(picture, inverted)
    ink = np.where(ink < NOISE * ink.max(), 0, ink)
    return Digit(_centre(_fit(_crop(ink))), inverted)


def _to_grey(picture: Picture) -> Grey:
    if picture.ndim == 2:
        return picture
    image = Image.fromarray(picture)
    grey = image.convert("L")
    if image.mode == "RGB":
        return np.array(grey)
    levels = np.asarray(grey, np.float64)
    alpha = np.asarray(image.getchannel("A"), np.float64) / 255
    # What shows through is white paper under dark ink, and a blackboard under light ink.
    paper = 255 if (levels * alpha).sum() < 127.5 * alpha.sum() else 0
    blend: NDArray[np.float64] = levels * alpha + paper * (1 - alpha)
    return blend.round().astype(np.uint8)


def _border(picture: Grey) -> Grey:
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def _crop(ink: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fit(ink: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale to the box with proportions kept, and the strongest ink to 255."""
    height, width = (max(1, round(side * BOX / max(ink.shape))) for side in ink.shape)
    image = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    scaled = np.array(image, np.float64)
    scaled *= 255 / scaled.max()
    return scaled


def _centre(ink: NDArray[np.float64]) -> Grey:
    """Put the ink, at most BOX x BOX, into a SIDE x SIDE picture, centre of mass at CENTRE if it fits."""
    field = np.zeros((SIDE, SIDE), np.uint8)
    corners = []
    for axis, side in enumerate(ink.shape):
        mass = ink.sum(axis=1 - axis)
        centre = float(mass @ np.arange(side)) / float(mass.sum())
        corners.append(min(max(round(CENTRE - centre), 0), SIDE - side))
    top, left = corners
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = ink.round()
    return field
