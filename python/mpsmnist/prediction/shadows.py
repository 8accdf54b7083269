"""Light changes slowly over paper, and ink begins at once: the retinex of E. Land and J. McCann (1971)."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from .colours import Levels

DARK = 20  # levels, added before the logarithm: below, noise matters more than light
BLUR = 0.02  # of the picture's side: flattens the edges of ink much, and those of shadows little
STEP = 1.8  # times as steep as when blurred; what is more blurred than that is the edge of a shadow,
SHARP = 0.65  # unless the steepest slopes of the picture are hardly sharper: this share of them is sharp, too
STEEPEST = 0.9  # quantile
NARROW = 0.01  # of the picture's side: the blur that tells how wide an edge is, even beside another
LEAST = 1.6  # pixels; less than that tells nothing of edges one pixel wide
WIDEST = 0.85  # times NARROW: the deviation of the widest edge of ink in focus; a camera's are of 0.5 to 0.7
SOFT = 0.1  # of all edges, by steepness; fewer soft ones are corners and crossings of strokes
REACH = 2.5  # times WIDEST: to here slopes belong to an edge
AROUND = 0.25  # of the picture's side: wider than ink
BARE = 0.25  # of a picture, at least, is bare paper, be it squared: of its slopes, this quantile is noise's,
ABOVE_NOISE = 9  # times which an edge is, and six times the median


def without_shadows(levels: Levels) -> Levels:
    """Keep the sharp slopes of the picture's logarithm, and put together a picture that has only them."""
    logarithm = _logarithm(levels)
    slopes = _slopes(logarithm)
    side = math.sqrt(levels.size)
    steepness, sharpness = _sharpness(logarithm, slopes, BLUR * side)
    clear = _clear(steepness)
    if not clear.any():
        return np.full_like(levels, levels.mean())
    steepest = steepness >= np.quantile(steepness[clear], STEEPEST)  # the edges of ink, for the most part
    sharp = clear & (sharpness > min(STEP, SHARP * float(np.median(sharpness[steepest]))))
    return _with_slopes(logarithm, slopes, sharp)


def without_soft_edges(levels: Levels) -> Levels | None:
    """Keep only edges as sharp as a camera in focus makes those of ink; None if hardly any other is there.

    An edge blurred by a Gaussian of deviation s is sqrt(1 + (b / s)^2) times as steep as blurred by b more.
    It is measured where it is steepest, and all of the edge is kept, or nothing.
    """
    logarithm = _logarithm(levels)
    slopes = _slopes(logarithm)
    narrow = max(NARROW * math.sqrt(levels.size), LEAST)
    steepness, sharpness = _sharpness(logarithm, slopes, narrow)
    clear = _clear(steepness)
    ridges = clear & (steepness >= ndimage.maximum_filter(steepness, 3))
    soft = ridges & (sharpness < math.sqrt(1 + WIDEST**-2))
    if steepness[soft].sum() <= SOFT * steepness[ridges].sum():
        return None
    away, nearest = ndimage.distance_transform_edt(~ridges, return_indices=True)
    near = away <= 1 + REACH * WIDEST * narrow
    return _with_slopes(logarithm, slopes, clear & near & ~soft[tuple(nearest)])


def brightening(levels: Levels) -> Levels:
    """Give by how much without_shadows() multiplies small differences, such as noise: more in the dark."""
    around = ndimage.uniform_filter(levels, int(AROUND * math.sqrt(levels.size)))
    factor: Levels = (levels.mean() + DARK) / (around.clip(0, None) + DARK)
    return factor


def _logarithm(levels: Levels) -> Levels:
    logarithm: Levels = np.log(levels.clip(0, None) + DARK)
    return logarithm


def _sharpness(logarithm: Levels, slopes: list[Levels], blur: float) -> tuple[Levels, Levels]:
    """Give how steep the slopes are, and how many times as steep as when blurred."""
    steepness = _steepness(*(ndimage.uniform_filter(slope, 2) for slope in slopes))
    blurred = ndimage.gaussian_filter(logarithm, blur, truncate=2.5)
    return steepness, steepness / (_steepness(*_slopes(blurred)) + 1e-3)


def _clear(steepness: Levels) -> NDArray[np.bool_]:
    """Tell where slopes are more than noise, which is all there is on bare paper."""
    clear: NDArray[np.bool_] = steepness > ABOVE_NOISE * np.quantile(steepness, BARE) + 1e-3
    return clear


def _with_slopes(logarithm: Levels, slopes: list[Levels], kept: NDArray[np.bool_]) -> Levels:
    kept = ndimage.maximum_filter(kept, 3)
    flat = _from_slopes(*(np.where(kept, slope, 0) for slope in slopes))
    levels: Levels = np.exp(flat + logarithm.mean()) - DARK
    return levels


def _slopes(levels: Levels) -> list[Levels]:
    down, across = np.zeros_like(levels), np.zeros_like(levels)
    np.subtract(levels[1:], levels[:-1], down[:-1])
    np.subtract(levels[:, 1:], levels[:, :-1], across[:, :-1])
    return [down, across]


def _steepness(down: Levels, across: Levels) -> Levels:
    steepness: Levels = np.sqrt(down * down + across * across)  # numpy.hypot takes five times as long
    return steepness


def _from_slopes(down: Levels, across: Levels) -> Levels:
    """Find what has these slopes, in the least squares: Poisson's equation, nothing flowing over the border.

    The cosine transform makes its Laplacian diagonal (R. Frankot and R. Chellappa, 1988, for the like).
    """
    divergence = np.diff(down, axis=0, prepend=0) + np.diff(across, axis=1, prepend=0)
    rows, columns = (2 * np.cos(np.pi * np.arange(side) / side) - 2 for side in down.shape)
    eigenvalues = (rows[:, np.newaxis] + columns).astype(np.float32)
    eigenvalues[0, 0] = 1  # the mean is free, and 0
    frequencies = fft.dctn(divergence, norm="ortho") / eigenvalues
    frequencies[0, 0] = 0
    heights: Levels = fft.idctn(frequencies, norm="ortho")
    return heights
