"""A sheet of paper that lies on something, such as a card on a table: the picture of what is on it."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from .colours import Levels, to_levels
from .marks import SQUARE, Mask
from .reading import Picture

COARSE = 128  # pixels a side show where a sheet is
LEAST, MOST = 0.04, 0.9  # of the picture is a sheet
LONGEST = 2.5  # times its width; a bar that is longer may be a 1
STRAIGHT = 0.85  # of the smallest rectangle around it; of an ellipse, such as a bold 0, that is 0.79
LIGHT = 0.6  # of a sheet is paper, and no ink
BORDER = 0.015  # of the picture's side: its shadow, and its thickness
CUT = 0.25  # of its edge, at most, is the border of the picture
TURNS = 30  # from 0 to 90 degrees


def cut_out_sheet(picture: Picture) -> Picture | None:
    """Find a light sheet on something darker that shows on all sides, or on most.

    Args:
        picture: uint8, (h, w), (h, w, 3) or (h, w, 4).

    Returns:
        The part of the picture with the sheet, which goes on where it ended there; None if there is no sheet.
    """
    factor = -(-max(picture.shape[:2]) // COARSE)
    levels = to_levels(np.asarray(Image.fromarray(picture).reduce(factor)))
    light = ndimage.binary_opening(levels > _halfway(levels), SQUARE)
    labels, count = ndimage.label(light)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    label = int(sizes.argmax())
    sheet = ndimage.binary_fill_holes(labels == label)
    if not LEAST <= sheet.mean() <= MOST or sizes[label] < LIGHT * sheet.sum() or not _is_rectangle(sheet):
        return None
    inner = ndimage.binary_erosion(sheet, SQUARE, math.ceil(BORDER * max(sheet.shape)))
    return _cut(picture, inner) if inner.any() else None


def _halfway(levels: Levels) -> float:
    """Give the threshold between dark and light that leaves each most even (N. Otsu, 1979)."""
    counts, edges = np.histogram(levels, 128)
    below = counts.cumsum()
    sums = (counts * (edges[:-1] + edges[1:]) / 2).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        dark, bright = sums / below, (sums[-1] - sums) / (below[-1] - below)
        between = np.nan_to_num(below * (below[-1] - below) * (bright - dark) ** 2)
    return float(edges[1:][between.argmax()])


def _is_rectangle(sheet: Mask) -> bool:
    """Tell by the smallest rectangle around it, turned in any way, and by how much of that is its own edge.

    What is light because of the light ends where the picture does.
    """
    rim = sheet & ~ndimage.binary_erosion(sheet)
    at_border = rim.sum() - rim[1:-1, 1:-1].sum()
    points = np.argwhere(rim).astype(np.float64)
    angles = np.arange(TURNS) * np.pi / 2 / TURNS
    along, across = (np.ptp(points @ np.stack(axis), axis=0) + 1 for axis in _axes(angles))
    smallest = (along * across).argmin()
    shorter, longer = sorted((float(along[smallest]), float(across[smallest])))
    is_long = longer > LONGEST * shorter
    return bool(not is_long and sheet.sum() >= STRAIGHT * shorter * longer and at_border <= CUT * rim.sum())


def _axes(angles: NDArray[np.float64]) -> tuple[tuple[NDArray[np.float64], ...], ...]:
    cosine, sine = np.cos(angles), np.sin(angles)
    return (cosine, sine), (-sine, cosine)


def _cut(picture: Picture, inner: Mask) -> Picture:
    """Give the box around the sheet; what is not the sheet is as the sheet's nearest pixel is."""
    within = _resized(inner, picture.shape[:2])
    box = tuple(
        slice(ends[0], ends[-1] + 1)
        for ends in (np.flatnonzero(within.any(axis=1)), np.flatnonzero(within.any(axis=0)))
    )
    nearest = ndimage.distance_transform_edt(~within[box], return_distances=False, return_indices=True)
    cut: Picture = picture[box][tuple(nearest)]
    return cut


def _resized(mask: Mask, shape: tuple[int, ...]) -> Mask:
    rows, columns = (np.arange(side) * few // side for side, few in zip(shape, mask.shape, strict=True))
    resized: Mask = mask[rows[:, np.newaxis], columns]
    return resized
