"""Light changes slowly over paper, and ink begins at once: the retinex of E. Land and J. McCann (1971)."""

import math

import numpy as np
from scipy import fft, ndimage

from .colours import Levels

DARK = 20  # levels, added before the logarithm: below, noise matters more than light
BLUR = 0.02  # of the picture's side: flattens the edges of ink much, and those of shadows little
STEP = 1.8  # times as steep as when blurred; what is more blurred than that is the edge of a shadow,
SHARP = 0.65  # unless the steepest slopes of the picture are hardly sharper: this share of them is sharp, too
STEEPEST = 0.9  # quantile
AROUND = 0.25  # of the picture's side: wider than ink
ABOVE_GRAIN = 6  # times the usual slope, which is the noise's


def without_shadows(levels: Levels) -> Levels:
    """Keep the sharp slopes of the picture's logarithm, and put together a picture that has only them."""
    logarithm = np.log(levels.clip(0, None) + DARK)
    slopes = _slopes(logarithm)
    steepness = _steepness(*(ndimage.uniform_filter(slope, 2) for slope in slopes))
    blurred = ndimage.gaussian_filter(logarithm, BLUR * math.sqrt(levels.size), truncate=2.5)
    remaining = _steepness(*_slopes(blurred))
    clear = steepness > ABOVE_GRAIN * np.median(steepness) + 1e-3
    if not clear.any():
        return np.full_like(levels, levels.mean())
    sharpness = steepness / (remaining + 1e-3)
    steepest = steepness >= np.quantile(steepness[clear], STEEPEST)  # the edges of ink, for the most part
    sharp = clear & (sharpness > min(STEP, SHARP * float(np.median(sharpness[steepest]))))
    sharp = ndimage.maximum_filter(sharp, 3)
    flat = _from_slopes(np.where(sharp, slopes[0], 0), np.where(sharp, slopes[1], 0))
    even: Levels = np.exp(flat + logarithm.mean()) - DARK
    return even


def brightening(levels: Levels) -> Levels:
    """Give by how much without_shadows() multiplies small differences, such as noise: more in the dark."""
    around = ndimage.uniform_filter(levels, int(AROUND * math.sqrt(levels.size)))
    factor: Levels = (levels.mean() + DARK) / (around.clip(0, None) + DARK)
    return factor


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
