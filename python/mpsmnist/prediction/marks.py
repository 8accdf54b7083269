"""Connected marks of ink: which are the digit's, and which are a frame, a table's edge or a speck."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .colours import Levels

Mask = NDArray[np.bool_]
Box = tuple[slice, ...]  # rows and columns
Corners = NDArray[np.intp]  # (n, 2)

SQUARE = np.ones((3, 3), bool)  # diagonal neighbours are connected
LARGE = 0.25  # of the picture's shorter side, or of the longest mark: long enough to be a digit
FLAT = 0.1  # of its width; what is no higher is a piece of a rule, whatever is around it
WITHIN = 0.35  # of a hole's length; a mark so long in it is the digit, and what is around it a frame
ROOM = 0.1  # of a mark's length: from its strokes to what is around it on two sides, or more
ALONG_THE_EDGE = (
    0.4  # of a mark's length; more lies along the edge of the picture, and does not just reach it
)
WHOLE = 0.95  # of the length of a mark: all of it lies along the edge
SPECK = 0.06  # of the heaviest mark's ink
PALE = 0.4  # of the heaviest mark's strength
CRUMB, PALER = 0.015, 0.75  # of the ink and the strength of a digit that has a piece of a rule in its loop
NEAR = 0.25  # of the longest side of the heaviest mark
DISC = 0.15  # of a hole's length, or of its box: punched holes are round, and alike, to this
DOT = 0.25  # of the length of what it is above; the bar of a 5 is longer
LEAN = 0.15  # of its height: a line, or a 1, is no wider
ROOMY = 0.5  # of its height: the width of a picture that was not cut out around a 1
SMALL = 0.4  # of the longest digit's length; a punch hole, a stain or a comma beside it is no digit


def drop_surroundings(ink: Levels, mask: Mask) -> Mask:
    """Drop what lies around the rest: frames, tables, edges of scans. What lies around nothing is kept.

    Pale specks are nothing, such as what is in the loops of an 8 of a stain or of the rules that it is
    written across. A digit in a printed box has 2% of the box's ink or more, and is about as strong.
    """
    labels, count = ndimage.label(mask, SQUARE)
    if count <= 1:
        return mask
    boxes = ndimage.find_objects(labels)
    lengths = np.array([0] + [length(box) for box in boxes])
    mass = np.bincount(labels.ravel(), ink.ravel(), count + 1)
    strength = mass / np.maximum(np.bincount(labels.ravel(), minlength=count + 1), 1)
    starts, stops = _corners(boxes)
    flat = np.append(0, (stops - starts)[:, 0]) <= FLAT * lengths
    large = (lengths >= LARGE * min(*mask.shape, lengths.max())) & ~flat
    at_edge = np.zeros(count + 1, int)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        at_edge += np.bincount(line, minlength=count + 1)
    dropped = np.zeros(count + 1, bool)
    dropped[0] = True
    if (large & (at_edge == 0)).any():
        dropped |= at_edge >= ALONG_THE_EDGE * np.maximum(lengths, 1)
    corners = np.zeros(count + 1, bool)
    corners[[labels[0, 0], labels[0, -1], labels[-1, 0], labels[-1, -1]]] = True
    if (large & ~corners & ~dropped).any():
        dropped |= corners
    for label in np.argsort(-lengths):
        if large[label] and not dropped[label]:
            specks = _are_specks(mass, strength, label)
            remaining = np.where(dropped | flat | specks, 0, lengths)
            within = _are_far_within(starts, stops, label - 1)
            dropped[label] = bool((within & (large & ~dropped & ~specks)[1:]).any()) or _encloses_much(
                labels[boxes[label - 1]], label, remaining
            )
    return labelled(labels, ~dropped)


def _are_specks(mass: NDArray[Any], strength: NDArray[Any], label: int) -> Mask:
    """Tell of each mark whether, beside the label's, it is light and pale, or much lighter and paler."""
    lighter, paler = mass / mass[label], strength / strength[label]
    specks: Mask = ((lighter < SPECK) & (paler < PALE)) | ((lighter < CRUMB) & (paler < PALER))
    return specks


def drop_borders(mask: Mask) -> Mask:
    """Drop what lies along an edge from its corner and does not reach the opposite one, even if alone.

    It is a table, a scanner's lid, or paper beyond a fold. The bar of a 7 may lie so; its stem goes across.
    """
    labels, count = ndimage.label(mask, SQUARE)
    lengths = np.array([1] + [length(box) for box in ndimage.find_objects(labels)])
    dropped = np.zeros(count + 1, bool)
    for one, other in ((labels[0], labels[-1]), (labels[:, 0], labels[:, -1])):
        for edge, opposite in ((one, other), (other, one)):
            along = np.bincount(edge, minlength=count + 1) >= WHOLE * lengths
            along[np.setdiff1d(edge, edge[[0, -1]])] = along[opposite] = False
            dropped |= along
    dropped &= lengths >= LARGE * min(mask.shape)
    dropped[0] = True
    return labelled(labels, ~dropped)


def drop_holes(mask: Mask) -> Mask:
    """Drop the holes of a punch: discs alike, in a row along a side, far apart, beside the longest mark."""
    labels, count = ndimage.label(mask, SQUARE)
    if count <= 2:
        return mask
    boxes = ndimage.find_objects(labels)
    starts, stops = _corners(boxes)
    lengths = (stops - starts).max(axis=1)
    longest = int(lengths.argmax())
    discs = np.array(
        [
            index
            for index, box in enumerate(boxes)
            if lengths[index] < SMALL * lengths[longest] and _is_disc(labels[box] == index + 1)
        ],
        int,
    )
    beside = _gaps(starts, stops, longest)[discs] >= 0
    starts, stops = starts[discs], stops[discs]
    kept = np.arange(count + 1) > 0
    for number, index in enumerate(discs):
        in_a_row = _are_in_a_row(starts, stops, number).any(axis=0)
        kept[index + 1] = not (in_a_row & beside[number]).any()
    return labelled(labels, kept)


def _is_disc(mark: Mask) -> bool:
    """Tell by the sides of its box, which are equal, and by how much of that is filled, which is pi / 4."""
    return abs(mark.shape[0] - mark.shape[1]) <= 1 + DISC * max(mark.shape) and (
        abs(float(mark.mean()) - np.pi / 4) <= DISC
    )


def _are_in_a_row(starts: Corners, stops: Corners, index: int) -> Mask:
    """Tell of each box and axis, (n, 2), whether it is at the place of the index's, as long, and far away."""
    lengths = (stops - starts).max(axis=1)
    size = np.maximum(lengths, lengths[index])[:, np.newaxis]
    ends = np.maximum(abs(starts - starts[index]), abs(stops - stops[index]))
    far = _gaps(starts, stops, index).max(axis=1, keepdims=True) >= size
    in_a_row: Mask = (ends <= 1 + DISC * size) & far
    return in_a_row


def bounds(marks: NDArray[Any]) -> Box:
    """Give the box around all that is not 0, of which there is some."""
    ends = (np.flatnonzero(marks.any(axis=axis))[[0, -1]] for axis in (1, 0))
    return tuple(slice(int(first), int(last) + 1) for first, last in ends)


def widened(box: Box, margin: int) -> Box:
    """Give the box with a margin on all sides, as far as the picture has it."""
    return tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in box)


def length(box: Box) -> int:
    """Give the longer side, in pixels."""
    return max(int(part.stop - part.start) for part in box)


def labelled(labels: NDArray[Any], kept: Sequence[bool] | Mask) -> Mask:
    """Give the pixels whose labels are kept; the first is that of what is no mark."""
    mask: Mask = np.asarray(kept)[labels]
    return mask


def _encloses_much(labels: NDArray[Any], label: int, lengths: NDArray[np.int64]) -> bool:
    labels = np.pad(labels, 1)
    holes, _ = ndimage.label(labels != label)
    for number, hole in enumerate(ndimage.find_objects(holes)[1:], 2):  # 1 is what is around
        inside = np.unique(labels[hole][holes[hole] == number])
        if lengths[inside].max() >= WITHIN * length(hole):
            return True
    return False


def _are_far_within(starts: Corners, stops: Corners, index: int) -> Mask:
    """Tell of each box whether the index's goes past it on all sides, by ROOM of its length at least."""
    room = ROOM * (stops - starts).max(axis=1, keepdims=True)
    within: Mask = ((starts[index] + room < starts) & (stops + room < stops[index])).all(axis=1)
    return within


def _corners(boxes: Sequence[Box]) -> tuple[Corners, Corners]:
    """Give the first rows and columns of boxes, (n, 2), and those after the last."""
    ends = np.array([[(part.start, part.stop) for part in box] for box in boxes], int).reshape(-1, 2, 2)
    return ends[..., 0], ends[..., 1]


def _gaps(starts: Corners, stops: Corners, index: int) -> Corners:
    """Give the rows and columns from each box to that of the index, (n, 2); less than 0 is an overlap."""
    gaps: Corners = np.maximum(starts, starts[index]) - np.minimum(stops, stops[index])
    return gaps


def drop_specks(ink: Levels, mask: Mask) -> Mask:
    """Keep the heaviest mark, and those near it that are neither much lighter nor much paler."""
    labels, count = ndimage.label(mask, SQUARE)
    if count <= 1:
        return mask
    mass = np.bincount(labels.ravel(), ink.ravel(), count + 1)
    mass[0] = 0
    strength = mass / np.maximum(np.bincount(labels.ravel(), minlength=count + 1), 1)
    heaviest = int(mass.argmax())
    kept = (mass >= SPECK * mass[heaviest]) & (strength >= PALE * strength[heaviest])
    kept[0] = False
    return labelled(labels, kept)


def one_digit(ink: Levels, mask: Mask) -> Mask:
    """Keep the heaviest mark and those near it, which are its other strokes."""
    labels, count = ndimage.label(mask, SQUARE)
    if count <= 1:
        return mask
    starts, stops = _corners(ndimage.find_objects(labels))
    heaviest = int(np.bincount(labels.ravel(), ink.ravel() * mask.ravel()).argmax()) - 1
    near = NEAR * (stops - starts)[heaviest].max()
    return labelled(labels, np.append(False, _gaps(starts, stops, heaviest).max(axis=1) <= near))


def is_line_across(mask: Mask) -> bool:
    """Tell whether all there is runs from top to bottom of a picture with room beside it."""
    rows, columns = bounds(mask)
    height, width = mask.shape
    across = rows.start <= 1 and rows.stop >= height - 1
    return bool(across and columns.stop - columns.start <= LEAN * height and width > ROOMY * height)


def has_a_dot(mask: Mask) -> bool:
    """Tell whether there are two marks, and the upper one is a dot, as that of an i or a j.

    A dot is about as high as wide. The bar of a 5 is not, nor is what glare breaks off the top of a 1.
    """
    labels, count = ndimage.label(mask, SQUARE)
    if count != 2:
        return False
    (rows, columns), (below, _) = boxes = sorted(ndimage.find_objects(labels), key=lambda box: box[0].stop)
    high, wide = rows.stop - rows.start, columns.stop - columns.start
    is_round = abs(high - wide) <= 1 + DOT * max(high, wide)
    return bool(is_round and max(high, wide) <= DOT * length(boxes[1]) and rows.stop < below.start)


def thickness(ink: Levels, mask: Mask) -> float:
    """Give the width of the heaviest mark's widest stroke, as a share of the mark's length."""
    labels, _ = ndimage.label(mask, SQUARE)
    heaviest = int(np.bincount(labels.ravel(), ink.ravel() * mask.ravel()).argmax())
    box = ndimage.find_objects(labels)[heaviest - 1]
    one = labels[widened(box, 1)] == heaviest
    widest = 2 * ndimage.distance_transform_cdt(np.pad(one, 1, "edge")).max()  # the edge is no end
    return float(widest / length(box))


def split_into_digits(mask: Mask) -> tuple[NDArray[np.intp], list[int]]:
    """Put the marks that are strokes of one digit together.

    Returns:
        Labels (h, w), and those of the digits in reading order: small marks are none.
    """
    labels, count = ndimage.label(mask, SQUARE)
    starts, stops = _corners(ndimage.find_objects(labels))
    group = np.arange(1, count + 1)
    for mark in range(count):
        together = np.unique(group[_belong_together(starts, stops, mark)])
        if len(together) > 1:
            group[np.isin(group, together)] = together[0]
    grouped = np.concatenate([[0], group])[labels]
    digits = [(box, label) for label, box in enumerate(ndimage.find_objects(grouped), 1) if box is not None]
    longest = max((length(box) for box, _ in digits), default=0)
    long = [(box, label) for box, label in digits if length(box) >= SMALL * longest]
    return grouped, [label for line in _lines(long) for _, label in line]


def _belong_together(starts: Corners, stops: Corners, index: int) -> Mask:
    """Tell of each box whether it is a stroke of the same digit as that of the index.

    It is above or below and close, as the bar of a 5, or beside and within reach of the other's strokes.
    """
    down, across = _gaps(starts, stops, index).T
    sizes = stops - starts
    shorter, narrower = np.minimum(sizes, sizes[index]).T
    taller = np.maximum(sizes[:, 0], sizes[index, 0])
    stacked = down <= np.where(shorter <= 0.5 * taller, 0.3, 0.1) * taller
    beside = (down < 0) & (across <= 0.05 * taller)
    together: Mask = np.where(-across >= 0.5 * narrower, stacked, beside)
    return together


def _lines(digits: list[tuple[Box, int]]) -> list[list[tuple[Box, int]]]:
    """Sort digits into lines: who overlaps the first of a line by half of its height is in that line."""
    lines: list[list[tuple[Box, int]]] = []
    for digit in sorted(digits, key=lambda digit: digit[0][0].start + digit[0][0].stop):
        rows = digit[0][0]
        if lines:
            last = lines[-1][0][0][0]
            overlap = min(last.stop, rows.stop) - max(last.start, rows.start)
            if overlap >= 0.5 * min(last.stop - last.start, rows.stop - rows.start):
                lines[-1].append(digit)
                continue
        lines.append([digit])
    return [sorted(line, key=lambda digit: digit[0][1].start) for line in lines]
