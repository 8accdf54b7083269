"""A sheet of paper that lies on something, such as a card on a table: the picture of what is on it."""

import math

import numpy as np
from PIL import Image
from scipy import ndimage

from ..picture_files import Picture
from .colours import Levels, to_levels
from .marks import SQUARE, Mask, bounds

COARSE = 128  # pixels a side show where a sheet is,
DETAILED = 512  # and what is on it
LEAST, MOST = 0.04, 0.9  # of the picture is a sheet
LONGEST = 2.5  # times its width; a bar that is longer may be a 1
STRAIGHT = 0.93  # of the smallest rectangle around it; the hull of a bold 8 is 0.88, of an ellipse 0.79
LIGHT = 0.7  # of a sheet, at least, is paper and no ink, also under a bold digit; a frame is less
BORDER = 0.015  # of the picture's side: its shadow, and its thickness
COVERED = 0.4  # of a row or column is the sheet; less would be its edge, drawn out
CUT = 0.25  # of its edge, at most, is the border of the picture
TURNS = 90  # degrees
EVERY = 3  # degrees are enough for the hull


def cut_out_sheet(picture: Picture) -> Picture | None:
    """Find a light sheet on something darker that shows on all sides, or on most.

    Args:
        picture: uint8, (h, w), (h, w, 3) or (h, w, 4).

    Returns:
        The part of the picture with the sheet, turned upright by at most 45 degrees, which goes on where it
        ended there; None if there is no sheet.
    """
    factor = -(-max(picture.shape[:2]) // COARSE)
    levels = to_levels(np.asarray(Image.fromarray(picture).reduce(factor)))
    light = (levels > _halfway(levels)).view(np.uint8)
    light = ndimage.grey_closing(ndimage.grey_opening(light, (3, 3)), (3, 3))  # no grain; across rules
    labels, count = ndimage.label(light)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    if sizes.max() < LIGHT * LEAST * levels.size:
        return None
    sheet, degrees = _straightened(labels == sizes.argmax())
    if sheet is None or not LEAST <= sheet.mean() <= MOST or sizes.max() < LIGHT * sheet.sum():
        return None
    inner = ndimage.binary_erosion(sheet, SQUARE, math.ceil(BORDER * max(sheet.shape)))
    return _upright(picture, inner, degrees) if inner.any() else None


def _halfway(levels: Levels) -> float:
    """Give the threshold between dark and light that leaves each most even (N. Otsu, 1979)."""
    counts, edges = np.histogram(levels, 128)
    below = counts.cumsum()
    sums = (counts * (edges[:-1] + edges[1:]) / 2).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        dark, bright = sums / below, (sums[-1] - sums) / (below[-1] - below)
        between = np.nan_to_num(below * (below[-1] - below) * (bright - dark) ** 2)
    return float(edges[1:][between.argmax()])


def _straightened(light: Mask) -> tuple[Mask | None, float]:
    """Give the convex hull, as ink may reach over the edge, and the degrees that it is turned by, clockwise.

    There is none if it is no rectangle, turned in any way, or ends where the picture does: then it is light
    because of the light.
    """
    turns = np.radians(np.arange(TURNS))
    axes = np.concatenate([[np.cos(turns), np.sin(turns)], [-np.sin(turns), np.cos(turns)]], axis=1)
    along = np.argwhere(light & ~ndimage.binary_erosion(light)) @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    sides = np.sort((high - low + 1).reshape(2, TURNS), axis=0)
    turn = int(sides.prod(axis=0).argmin())
    shorter, longer = sides[:, turn]
    at_border = light.sum() - light[1:-1, 1:-1].sum()
    is_long, is_cut = longer > LONGEST * shorter, at_border > CUT * 2 * (shorter + longer)
    if is_long or is_cut or light.sum() < LIGHT * STRAIGHT * shorter * longer:
        return None, 0
    everywhere = np.indices(light.shape).reshape(2, -1).T @ axes[:, ::EVERY]
    inside = (everywhere >= low[::EVERY]) & (everywhere <= high[::EVERY])
    sheet: Mask = inside.all(axis=1).reshape(light.shape)
    degrees = TURNS / 2 - (turn + TURNS / 2) % TURNS
    return (sheet if sheet.sum() >= STRAIGHT * shorter * longer else None), degrees


def _upright(picture: Picture, inner: Mask, degrees: float) -> Picture:
    """Give the box around the sheet, turned; what is not the sheet is as the sheet's nearest pixel is."""
    coarse = bounds(inner)
    scales = np.divide(picture.shape[:2], inner.shape)
    box = tuple(
        slice(int(part.start * scale), int(part.stop * scale))
        for part, scale in zip(coarse, scales, strict=True)
    )
    image = Image.fromarray(picture[box])
    image = image.reduce(-(-max(image.size) // DETAILED))
    cover = Image.fromarray(inner[coarse]).resize(image.size)
    if degrees:
        image = image.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
        cover = cover.rotate(degrees, expand=True)
    within = np.asarray(cover)
    shares = [within.mean(axis=1 - axis) for axis in (0, 1)]
    upright = bounds(np.logical_and.outer(*(share >= COVERED * share.max() for share in shares)))
    nearest = ndimage.distance_transform_edt(~within[upright], return_distances=False, return_indices=True)
    turned: Picture = np.asarray(image)[upright][tuple(nearest)]
    return turned
