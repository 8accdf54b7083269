"""Printed lines: the rules and squares of paper, boxes, underlines. What crosses them is kept."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .colours import Levels
from .marks import SQUARE, Mask, labelled, length
from .paper import mean_side

SMALLEST = 60  # pixels of the shorter side; less has no room for a rule and a digit
THICKEST = 0.03  # of the picture's side
OVERHANG = 0.03  # a line goes on past the digit, to both sides, by this share of its length
SHORTEST = 0.1  # of the mask's side: a digit's height and width are more
SHORT = 0.3  # of the mask's width: no line is as short
FILLED = 0.5  # of a line's length; strokes that cross it are the rest
DARKER = 1.5  # times as strong as a line usually is: that is ink on it
ALONE = 0.12  # or by this, if it neither spans the picture nor is a side of a box


class _Line(NamedTuple):
    pixels: Mask
    axis: int  # 1: along a row
    start: int
    stop: int
    spans: bool


def strike_rules(ink: Levels, mask: Mask) -> Mask:
    """Take away lines that go on past the rest: across the picture, around it, or under it."""
    if min(mask.shape) < SMALLEST or not mask.any():
        return mask
    thickest = max(6, int(THICKEST * mean_side(mask)))
    kept = mask.copy()
    labels, _ = ndimage.label(mask, SQUARE)
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if length(box) >= 0.25 * min(mask.shape):
            kept[box] &= ~_rules(ink[box], labels[box] == label, thickest, sides=True)
    return kept & ~_rules(ink, kept, thickest, sides=False)


def _rules(ink: Levels, mask: Mask, thickest: int, sides: bool) -> Mask:
    """Find the lines of a picture, or those of one connected mark, which are the sides of a box."""
    thin, crossings = _thin_runs(mask, thickest)
    lines = [
        _Line(line.pixels.T if axis == 0 else line.pixels, axis, line.start, line.stop, line.spans)
        for axis, pixels in ((1, thin[0] | crossings), (0, (thin[1] | crossings).T))
        for line in _lines(pixels)
    ]
    spanning = [sum(line.spans and line.axis == axis for line in lines) for axis in (0, 1)]
    if sides:
        lines = [line for line in lines if line.spans and spanning[line.axis] >= 2]
    box = sides and min(spanning) >= 2
    rules: list[_Line] = []
    for axis in {line.axis for line in lines}:
        rest = _substantial(
            mask & ~_pixels(mask, [line for line in lines if line.spans or line.axis == axis])
        )
        ends = np.flatnonzero(rest.any(axis=1 - axis))
        if rest.any(axis=0).sum() + rest.any(axis=1).sum() < SHORTEST * max(mask.shape):
            rules += [line for line in lines if not sides and _crosses(line, mask.shape[1])]
            continue
        rules += [line for line in lines if line.axis == axis and _goes_past(line, ends, box, sides)]
    return _printed(ink, mask, rules)


def _printed(ink: Levels, mask: Mask, rules: list[_Line]) -> Mask:
    """Give the pixels of rules, without ink that is darker: what is written crosses them there."""
    darkest = float(ink[mask].max())
    printed = np.zeros_like(mask)
    for rule in rules:
        levels = np.where(rule.pixels, ink, 0).max(axis=1 - rule.axis)
        usual = float(np.median(levels[levels > 0]))
        printed |= rule.pixels & (ink <= max(DARKER * usual, (usual + darkest) / 2))
    return printed


def _thin_runs(mask: Mask, thickest: int) -> tuple[list[Mask], Mask]:
    """Give what may be lines along the rows, and along the columns; and where these cross.

    Lines are long runs of pixels, also where they slant by a few degrees, and short ones across.
    """
    across, down = _run_lengths(mask), _run_lengths(mask.T).T
    along = [
        lengths >= max(12, side // 8) for lengths, side in ((across, mask.shape[1]), (down, mask.shape[0]))
    ]
    thin = [along[0] & (down < thickest), along[1] & (across < thickest)]
    for axis, lengths in enumerate((down, across)):  # what is left beside a line would lengthen the digit
        near = ndimage.maximum_filter1d(thin[axis].view(np.uint8), 3, axis).view(bool)
        thin[axis] = near & (lengths > 0) & (lengths < thickest)
    crossings = along[0] & along[1]
    if crossings.any():
        crossings &= ndimage.maximum_filter(thin[0] | thin[1], 5)
    return thin, crossings


def _run_lengths(mask: Mask) -> NDArray[np.int32]:
    """Give each pixel of the mask the length of its run along the row, and 0 to the others."""
    padded = np.pad(mask, ((0, 0), (0, 1))).ravel()  # no run goes on in the next row
    ends = np.flatnonzero(np.diff(padded, prepend=False))
    runs = ends[1::2] - ends[::2]
    lengths = np.zeros(padded.shape, np.int32)
    lengths[padded] = np.repeat(runs, runs)
    return lengths.reshape(mask.shape[0], -1)[:, :-1]


def _pixels(mask: Mask, lines: list[_Line]) -> Mask:
    pixels: Mask = np.logical_or.reduce([np.zeros_like(mask)] + [line.pixels for line in lines])
    return pixels


def _goes_past(line: _Line, ends: NDArray[np.int64], box: bool, sides: bool) -> bool:
    """Tell whether a line goes on past the rest: to both sides, unless in a box, which the digit may touch.

    Only along a row may it do so alone. What looks like sides of a box, without one, may be the bars of a 2.
    """
    past = sorted((int(ends[0]) - line.start, line.stop - int(ends[-1])))
    least = (OVERHANG if line.spans and (box or not sides) else ALONE) * (line.stop - line.start)
    return past[1 if box else 0] >= least and (line.spans or line.axis == 1)


def _crosses(line: _Line, width: int) -> bool:
    """Tell whether a line goes from side to side of the picture: a fold; from top to bottom it may be a 1."""
    return line.axis == 1 and line.start <= 1 and line.stop >= width - 2


def _substantial(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask, SQUARE)
    if count == 0:
        return mask
    lengths = [length(box) for box in ndimage.find_objects(labels)]
    return labelled(labels, [False] + [its >= 0.3 * max(lengths) for its in lengths])


def _lines(pixels: Mask) -> Iterator[_Line]:
    """Join the pieces that lie behind each other along the rows, across the strokes between them."""
    width = pixels.shape[1]
    if pixels.any(axis=0).sum() < FILLED * SHORT * width:
        return
    joined = ndimage.maximum_filter1d(pixels.view(np.uint8), max(3, width // 2), 1)
    labels, _ = ndimage.label(ndimage.maximum_filter1d(joined, 3, 0), SQUARE)
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        part = (labels[box] == label) & pixels[box]
        columns = np.flatnonzero(part.any(axis=0))
        reach = int(np.ptp(columns)) + 1
        if reach < SHORT * width or len(columns) < FILLED * reach:
            continue
        line = np.zeros_like(pixels)
        line[box] = part
        start = box[1].start + int(columns[0])
        yield _Line(line, 1, start, start + reach - 1, spans=reach >= 0.9 * width)
