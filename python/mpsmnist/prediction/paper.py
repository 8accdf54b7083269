"""Ink on paper: what stands out of the levels around it, and by how much."""

import bisect
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .colours import Levels
from .marks import SQUARE, Mask

SCALES = tuple(0.5 / 1.3**step for step in range(9))[::-1]  # widths of strokes, as shares of a picture's side
SMALL = 64  # pixels a side or less are too few for more than the largest scale
COARSE = 100  # pixels a side are enough to find the scale with
SLACK = 1.25  # where strokes meet they are wider
KEPT_EDGES = 0.1  # a share of the edges; paper that keeps no more of them has let go of the ink
FAINTEST = 4.0  # levels from the paper to the ink; less is blank
BEYOND = (0.02, 0.04)  # of the picture's side; between these distances from ink there is paper,
SOFTEST = 0.5  # and no more of the ink's strength, or it is light or shadow
ABOVE_NOISE = 6  # standard deviations
CERTAIN = 20  # standard deviations of the mean of the pixels of the largest mark
NEIGHBOURHOOD = 0.3  # of the shorter side: ink is judged by the strongest ink so near


def edges(levels: Levels) -> float:
    """Sum the squared steps between neighbours, large only at ink's edges; noise does not count."""
    total = 0.0
    for axis in (0, 1):
        steps = np.abs(np.diff(levels, axis=axis))
        if steps.size:
            total += float(np.square(steps[steps > 1 + 3 * float(np.median(steps))]).sum())
    return total


def noise(levels: Levels) -> float:
    """Estimate the standard deviation of noise and grain: of what differs from its row and from its column.

    Both are averaged near each pixel alone. Rules, however many, cancel where they do not cross; of what is
    left, the middle third is far from ink, which is in the tails.
    """
    size = max(3, int(mean_side(levels) / 15) | 1)
    grain = levels
    for axis in (0, 1):
        grain = grain - ndimage.uniform_filter1d(grain, size, axis)
    low, high = np.quantile(grain[::2, ::2], (0.35, 0.65))
    return float(high - low) / 0.7706  # of a normal distribution


def stands_out(ink: Levels, mask: NDArray[np.bool_], noise: Levels) -> bool:
    """Tell whether masked ink ends too soon for light or shadow, and is too much for chance."""
    if not mask.any():
        return False
    strength = float(ink[mask].mean())
    inner, outer = (ndimage.maximum_filter(mask, 1 + 2 * math.ceil(mean_side(mask) * way)) for way in BEYOND)
    around = outer & ~inner
    ends = not around.any() or float(ink[around].mean()) <= SOFTEST * strength
    largest = np.bincount(ndimage.label(mask)[0][mask]).max()
    return bool(ends and strength * math.sqrt(largest) >= CERTAIN * float(noise[mask].mean()))


def find_paper(levels: Levels) -> Levels:
    """Give the paper's level everywhere under light ink: the picture without what is narrower than a scale.

    The smallest scale is taken that lets go of the ink's edges: shadows and spots of light are wider. What
    is at the edge of the picture counts as twice as wide there, since a hand's shadow goes on beyond it.
    """
    side = mean_side(levels)
    if side <= SMALL:
        return _opened_within(levels, SCALES[-1])
    step = int(-(-side // COARSE))
    coarse = ndimage.uniform_filter(levels, step)[::step, ::step] if step > 1 else levels
    limit = edges(_opened(coarse, SCALES[-1])) + KEPT_EDGES * edges(coarse)
    first = bisect.bisect_left(
        SCALES, True, hi=len(SCALES) - 1, key=lambda scale: edges(_opened(coarse, scale)) <= limit
    )
    return _opened_within(ndimage.uniform_filter(levels, 3), min(SLACK * SCALES[first], SCALES[-1]))


def mean_side(levels: NDArray[Any]) -> float:
    """Give the side of a square of the same area: in a strip a digit is as wide as the strip."""
    return math.sqrt(levels.size)


def _opened(levels: Levels, scale: float) -> Levels:
    """Cover the levels from below with squares; what is at the edge of the picture goes on beyond it."""
    size = max(3, int(scale * mean_side(levels)) | 1)
    opened: Levels = ndimage.maximum_filter(ndimage.minimum_filter(levels, size), size)
    return opened


def _opened_within(levels: Levels, scale: float) -> Levels:
    """Cover the levels from below with squares that fit into the picture: a stroke may end at its edge."""
    size = max(3, int(scale * mean_side(levels)) | 1)
    sizes = [min(size, (side - 1) | 1) for side in levels.shape]
    lowest = ndimage.minimum_filter(levels, sizes, mode="constant", cval=-np.inf)
    opened: Levels = ndimage.maximum_filter(lowest, sizes, mode="constant", cval=-np.inf)
    return opened


def ink_above(levels: Levels, paper: Levels) -> Levels:
    """Give how far the levels stand above the paper, which noise and the search for it make too low."""
    above = levels - paper
    ink: Levels = (above - np.quantile(above[::2, ::2], 0.3)).clip(0, None).astype(np.float32)
    return ink


def marked(ink: Levels, noise: Levels, *shares: float) -> list[NDArray[np.bool_]]:
    """Tell for each share where ink is stronger than that of the strongest near it, and than noise."""
    side = mean_side(ink)
    smooth = ndimage.uniform_filter(ink, 3) if side > SMALL else ink
    strongest = ndimage.maximum_filter(smooth, max(3, int(NEIGHBOURHOOD * side) | 1))
    least = np.maximum(FAINTEST, ABOVE_NOISE * noise)
    return [ink > np.maximum(share * strongest, least) for share in shares]


def bridged(ink: Mask, pale: Mask) -> Mask:
    """Add pale ink that joins marks, after J. Canny's hysteresis (1986): glare fades what it crosses.

    What touches one mark alone is its fringe, or the inside of a narrow loop.
    """
    marks, count = ndimage.label(ink, SQUARE)
    gaps, last = ndimage.label(pale & ~ink, SQUARE)
    numberings = marks, np.where(ink, count + 1 - marks, 0)  # from either end: one mark's add up to count + 1
    highest = [
        ndimage.maximum(ndimage.maximum_filter(numbers, 3), gaps, np.arange(last + 1))
        for numbers in numberings
    ]
    joins = np.sum(highest, axis=0) > count + 1
    joins[0] = False
    bridged: Mask = ink | joins[gaps]
    return bridged


def evened(ink: Levels, mask: NDArray[np.bool_]) -> Levels:
    """Give the masked ink from 0 to 1, as full in the shadow and under a light hand as anywhere."""
    size = max(3, int(mean_side(ink) / 5))

    def near(values: Levels) -> Levels:
        return ndimage.uniform_filter(ndimage.uniform_filter(values, size), size)

    if mean_side(ink) > SMALL:
        usual = near(np.where(mask, ink, 0)) / np.maximum(near(mask.astype(np.float32)), 1e-6)
    else:  # no room for shadows; what is narrower than a pixel is pale, and redrawn() sees to that
        usual = np.full_like(ink, np.quantile(ink[mask], 0.9))
    fringe = ndimage.maximum_filter(mask, 3 if max(ink.shape) < 100 else 7)
    even: Levels = np.where(fringe, (ink / np.maximum(usual, 1e-3)).clip(0, 1), 0)
    even[even < 0.15] = 0  # paper within the fringe
    return even
