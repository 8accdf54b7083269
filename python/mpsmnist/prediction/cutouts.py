"""A digit that was cut out around its ink, as segmentation does: it gets paper around it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .colours import Levels
from .marks import SQUARE, Mask, bounds

NEAR = 0.05  # of the longer side, at most, is from ink to the edges; more paper is enough to be seen
MOST = 0.8  # of its box is ink of a bold digit, and of a thick 1 that leans; more is a sheet
SOLID = 0.35  # of the longer side; ink so wide that lies all along an edge is a shadow, or a table
CORNERS = 2  # at most have ink, as those of a 7 or a 2; a table around a sheet is in three or four
TWO_LEVELS = 4  # deviations from paper to ink; noise has 3.5 at most, if every level is as likely
MARGIN = 0.25  # of the longer side


def with_paper_around(levels: Levels) -> Levels | None:
    """Put dark paper around light ink that was cut out; None if it was not.

    The paper in such a picture is hardly to be told from ink: strokes that reach the edges divide it. Noise
    may be divided as paper and ink are, but has no two levels.
    """
    ink = levels > (float(levels.min()) + float(levels.max())) / 2
    if not ink.any() or not _is_cut_out(ink) or not _are_two_levels(levels, ink):
        return None
    paper = np.median(_edges(levels)[~_edges(ink)])
    around: Levels = np.pad(levels, int(MARGIN * max(levels.shape)) + 1, constant_values=paper)
    return around


def _is_cut_out(ink: Mask) -> bool:
    """Tell whether it is one mark that is near all four edges, reaches few corners, and is of strokes."""
    box = bounds(ink)
    most, ends = NEAR * max(ink.shape), zip(box, ink.shape, strict=True)
    if any(part.start > most or side - part.stop > most for part, side in ends):
        return False
    cut = ink[box]
    if cut[[0, 0, -1, -1], [0, -1, 0, -1]].sum() > CORNERS or cut.mean() > MOST or _is_solid(cut):
        return False
    return bool(ndimage.label(cut, SQUARE)[1] == 1)


def _is_solid(ink: Mask) -> bool:
    """Tell whether it lies all along an edge, as the bar of a 7 may do, and is wider than a stroke."""
    if not any(edge.all() for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1])):
        return False
    widest = 2 * int(ndimage.distance_transform_cdt(np.pad(ink, 1)).max()) - 1
    return bool(widest > SOLID * max(ink.shape))


def _are_two_levels(levels: Levels, ink: Mask) -> bool:
    """Tell whether ink and paper are far apart for how much either varies."""
    parts = levels[ink], levels[~ink]
    within = np.concatenate([part - part.mean() for part in parts]).std()
    return bool(parts[0].mean() - parts[1].mean() >= TWO_LEVELS * within)


def _edges(values: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
