"""A sheet of paper that lies on something, such as a card on a table: the picture of what is on it."""

import math

import numpy as np
from PIL import Image
from scipy import ndimage

from .colours import Levels, to_levels
from .marks import SQUARE, Mask, bounds
from .reading import Picture

COARSE = 128  # pixels a side show where a sheet is,
DETAILED = 512  # and what is on it
LEAST, MOST = 0.04, 0.9  # of the picture is a sheet
LONGEST = 2.5  # times its width; a bar that is longer may be a 1
STRAIGHT = 0.93  # of the smallest rectangle around it; the hull of a bold 8 is 0.88, of an ellipse 0.79
LIGHT = 0.8  # of a sheet, at least, is paper and no ink; of the hull of a bold digit less is ink
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
    if sizes.max() < LIGHT * LEAST * levels.size:
        return None
    sheet = _straightened(labels == sizes.argmax())
    if sheet is None or not LEAST <= sheet.mean() <= MOST or sizes.max() < LIGHT * sheet.sum():
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


def _straightened(light: Mask) -> Mask | None:
    """Give the convex hull, as ink may reach over the edge; None if it is no rectangle, turned in any way.

    Neither is what ends where the picture does: that is light because of the light.
    """
    turns = np.arange(TURNS) * np.pi / 2 / TURNS
    axes = np.concatenate([[np.cos(turns), np.sin(turns)], [-np.sin(turns), np.cos(turns)]], axis=1)
    along = np.argwhere(light & ~ndimage.binary_erosion(light)) @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    sides = np.sort((high - low + 1).reshape(2, TURNS), axis=0)
    shorter, longer = sides[:, sides.prod(axis=0).argmin()]
    at_border = light.sum() - light[1:-1, 1:-1].sum()
    is_long, is_cut = longer > LONGEST * shorter, at_border > CUT * 2 * (shorter + longer)
    if is_long or is_cut or light.sum() < LIGHT * STRAIGHT * shorter * longer:
        return None
    everywhere = np.indices(light.shape).reshape(2, -1).T @ axes
    sheet: Mask = ((everywhere >= low) & (everywhere <= high)).all(axis=1).reshape(light.shape)
    return sheet if sheet.sum() >= STRAIGHT * shorter * longer else None


def _cut(picture: Picture, inner: Mask) -> Picture:
    """Give the box around the sheet; what is not the sheet is as the sheet's nearest pixel is."""
    coarse = bounds(inner)
    scales = np.divide(picture.shape[:2], inner.shape)
    box = tuple(
        slice(int(part.start * scale), int(part.stop * scale))
        for part, scale in zip(coarse, scales, strict=True)
    )
    image = Image.fromarray(picture[box])
    part = np.asarray(image.reduce(-(-max(image.size) // DETAILED)))
    within = _resized(inner[coarse], part.shape[:2])
    nearest = ndimage.distance_transform_edt(~within, return_distances=False, return_indices=True)
    cut: Picture = part[tuple(nearest)]
    return cut


def _resized(mask: Mask, shape: tuple[int, ...]) -> Mask:
    rows, columns = (np.arange(side) * few // side for side, few in zip(shape, mask.shape, strict=True))
    resized: Mask = mask[rows[:, np.newaxis], columns]
    return resized
