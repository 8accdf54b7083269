"""Synthetic handwritten digits in the conventions of MNIST, drawn from a seed alone.

A digit is a few pen strokes: smooth curves through control points typed in by hand (`_SHAPES`). To draw one:

1. pick a shape of the digit, blend its two extremes and move every control point a little;
2. bend, stretch, slant and turn the strokes, then scale them to the 20x20 box that MNIST uses;
3. ink them with a round pen whose radius changes along the stroke, blur, and quantise to grey levels;
4. centre the ink by its centre of mass in 28x28.

Reproducibility. Every random number is a hash (SplitMix64) of seed, split, position in the split and number
of the draw, so an image depends on nothing else: not its neighbours, batches or NumPy's generators. Floating
point is float32 with only + - * /, square root, minimum and maximum, applied element by element: IEEE 754
fixes how each is rounded. Sums over pixels are sums of integers. So the bytes are the same on every platform
and version of NumPy. A change that alters them must raise `VERSION`, which names cached copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._core import splitmix64

__all__ = ["TEST_SIZE", "TRAIN_SIZE", "VERSION", "draw", "generate"]

VERSION = 1
TRAIN_SIZE = 60_000
TEST_SIZE = 10_000

Split = Literal["train", "test"]
_Floats = NDArray[np.float32]
_Words = NDArray[np.uint64]

# Shapes

# For every shape: the digit, its share of that digit's drawings, a name; then its two extremes. Control
# points are x,y in hundredths, y downwards; "!" makes a sharp corner, "/" lifts the pen.
_SHAPES = """
0 0.70 a loop that just closes
  60,2 25,12 8,50 28,90 58,99 86,80 94,45 80,12 52,2
  58,0 38,12 26,50 34,88 50,100 66,86 74,50 66,12 50,2
0 0.30 a loop that overlaps itself at the top
  30,14 12,45 22,88 52,100 84,80 90,40 70,6 40,4 22,20
  72,10 45,0 20,25 20,75 48,100 78,80 82,35 62,8 36,8
1 0.82 a stick
  52,0 50,35 50,65 50,100
  48,0 52,35 53,65 48,100
1 0.10 a stick with a flag
  34,16 52,0! 51,50 50,100
  26,26 50,0! 50,50 50,100
1 0.08 flag and base
  28,20 52,0! 51,50 50,100 / 22,100 50,99 80,98
  22,26 52,0! 50,50 48,100 / 12,100 50,100 88,98
2 0.32 a corner at the foot
  15,22 40,2 72,12 70,42 42,72 12,98! 50,98 88,96
  8,12 40,4 78,6 84,26 50,66 10,96! 50,92 94,94
2 0.42 a loop at the foot
  14,24 38,2 70,12 68,44 40,80 14,98 8,84 28,78 60,94 92,92
  14,26 38,0 76,14 74,54 42,88 10,94 8,74 34,68 62,86 94,98
2 0.16 a wavy foot
  18,20 45,2 72,20 58,55 34,80 12,94! 32,86 60,96 92,90
  8,24 30,6 66,4 76,30 50,68 12,98! 34,92 64,96 90,98
2 0.10 hardly a head
  28,14 46,2 62,14 52,48 34,74 16,97! 50,97 92,95
  34,10 44,2 50,16 42,48 30,72 16,92! 50,94 90,86
3 0.55 a sharp waist
  16,14 45,0 76,14 66,38 36,48! 70,56 82,78 52,99 12,90
  18,6 52,2 74,18 64,40 44,48! 66,58 74,80 46,98 20,96
3 0.25 a looped waist
  16,16 45,0 72,14 62,40 40,50 38,44 66,52 84,76 52,100 12,88
  20,8 50,2 74,18 64,42 46,52 46,46 66,54 76,78 48,98 16,92
3 0.20 a flat top
  14,6 45,4 78,4! 60,24 44,42! 74,54 78,80 46,99 14,90
  16,14 44,4 74,6! 58,24 40,36! 72,50 82,76 52,99 10,92
4 0.40 open, the right stroke apart
  26,4 18,30 14,54! 48,54 88,48 / 74,2 70,50 66,100
  14,2 12,26 14,46! 46,48 90,46 / 84,8 80,50 78,100
4 0.30 open and round
  22,4 12,34 26,54 56,52 80,40 / 80,2 74,46 66,100
  32,0 14,40 30,58 60,54 92,46 / 74,12 68,50 60,100
4 0.15 closed
  66,0 38,34 8,66! 48,66 92,64 / 66,0 64,50 62,100
  70,2 44,28 16,52! 50,54 88,52 / 70,2 66,50 60,100
4 0.15 drawn without lifting the pen
  24,2 14,30 18,50! 50,48 74,34 82,4! 74,50 66,100
  30,4 18,28 20,46! 48,46 74,28 84,6! 76,50 70,100
5 0.37 one line from the bar
  88,4 60,5 34,8! 26,42! 58,36 80,60 66,90 38,100 8,92
  94,0 70,4 48,12! 40,38! 56,42 64,66 52,90 30,98 8,92
5 0.20 a round shoulder
  90,6 64,2 38,10 30,34 56,46 76,66 62,92 34,100 8,88
  94,2 66,6 46,14 38,36 58,50 68,70 54,92 30,98 10,94
5 0.27 the bar apart
  32,10 30,26 26,44! 56,38 82,62 62,94 30,100 8,90 / 32,8 60,7 94,4
  36,14 34,28 30,46! 54,44 72,66 56,94 28,98 6,92 / 36,10 62,6 98,0
5 0.16 a bowl that nearly closes
  84,4 60,5 40,8! 30,42! 64,38 80,64 60,96 28,92 26,76
  92,2 68,8 50,12! 34,40! 58,42 70,66 48,98 18,90 24,72
6 0.50 a round back
  68,2 40,18 20,50 20,84 44,100 72,88 74,66 50,56 24,76
  56,0 32,24 18,56 20,86 46,100 70,84 66,62 42,60 24,84
6 0.30 a straight back
  60,0 42,22 26,48 18,78 36,99 66,94 80,74 62,58 26,80
  46,0 34,22 24,48 20,76 34,98 60,96 76,80 62,64 30,76
6 0.20 a low wide loop
  50,0 34,24 20,52 16,82 42,100 76,92 84,66 60,50 22,68
  44,0 26,30 14,64 20,94 50,100 82,90 84,68 64,60 46,78
7 0.42 a corner
  12,10 48,8 86,4! 62,48 44,100
  14,4 46,6 80,8! 70,50 62,100
7 0.25 a round shoulder
  14,20 30,4 60,4 84,12 74,36 56,66 46,100
  14,14 34,6 60,2 80,14 78,42 66,72 52,100
7 0.15 a serif
  14,30 18,6! 50,6 84,4! 64,48 48,100
  10,24 24,10! 50,8 80,6! 70,50 62,100
7 0.18 a bar
  12,10 48,6 86,4! 62,48 42,100 / 34,48 58,46 86,42
  16,6 46,6 82,6! 66,50 50,100 / 26,66 56,62 86,62
8 0.45 one line from the upper right
  76,12 48,0 24,18 48,46 76,74 52,100 24,82 48,52 78,14
  90,10 56,2 28,22 48,46 70,74 46,100 22,82 46,52 82,20
8 0.20 from the middle of the top
  52,0 24,20 50,48 80,74 50,100 20,76 50,48 78,20 50,0
  56,0 34,22 50,44 68,72 46,100 24,76 46,50 72,24 60,2
8 0.15 two loops
  50,46 26,24 50,0 76,22 52,46 / 50,48 80,74 50,100 20,76 48,48
  52,42 32,20 54,0 74,20 52,42 / 50,44 72,72 46,100 22,74 46,46
8 0.08 a small head
  68,16 50,2 34,16 48,36 78,68 50,100 20,70 48,40 68,12
  76,10 56,2 42,14 52,34 72,66 48,100 24,72 50,38 76,4
8 0.12 a small foot
  82,16 50,0 16,22 46,58 64,80 48,100 36,82 52,58 82,14
  84,10 54,0 26,28 50,60 58,80 48,100 38,82 50,60 84,16
9 0.33 a straight tail
  74,18 50,2 22,22 34,48 62,40 78,16 74,56 68,100
  70,14 48,0 22,18 26,42 54,42 74,18 64,58 50,100
9 0.25 a curved tail
  76,20 50,0 20,22 34,48 66,40 78,18 80,58 62,94 26,92
  72,14 46,2 24,22 36,46 62,38 76,20 74,62 56,98 32,96
9 0.22 a tail from a corner
  78,10 48,2 22,26 36,48 60,40 78,10! 72,56 66,100
  76,14 44,4 14,30 34,56 64,42 78,12! 74,56 70,100
9 0.20 a loop open at the top
  58,4 38,8 20,30 36,50 62,42 78,6! 72,56 66,100
  84,6 50,2 26,22 34,46 58,42 74,26! 66,60 54,100
"""

_DENSITY = 28  # dots along a line as long as the digit: 0.7 pixels apart


@dataclass(frozen=True)
class _Shape:
    """A shape ready to draw: dot k is the sum over c of weights[k, c] * control[neighbours[k, c]]."""

    digit: int
    share: float
    extremes: _Floats  # (2, controls, 2): x and y of both extremes, relative to the digit's middle
    neighbours: NDArray[np.intp]  # (dots, 4)
    weights: _Floats  # (dots, 4)


def _parse(line: str) -> tuple[list[tuple[float, float]], list[bool], list[list[int]]]:
    """Points relative to the digit's middle, whether each is a corner, and each stroke's point numbers."""
    points: list[tuple[float, float]] = []
    corners: list[bool] = []
    strokes: list[list[int]] = []
    for stroke in line.split("/"):
        words = stroke.split()
        strokes.append([*range(len(points), len(points) + len(words))])
        for word in words:
            x, y = word.rstrip("!").split(",")
            points.append((int(x) / 100 - 0.5, int(y) / 100 - 0.5))
            corners.append(word.endswith("!"))
    return points, corners, strokes


def _segments(corners: list[bool], strokes: list[list[int]]) -> Iterator[tuple[int, int, int, int]]:
    """(before, start, end, after) of every curve segment; before or after is -1 at an end or a corner."""
    for stroke in strokes:
        for i in range(len(stroke) - 1):
            start, end = stroke[i], stroke[i + 1]
            before = -1 if i == 0 or corners[start] else stroke[i - 1]
            after = -1 if i + 2 == len(stroke) or corners[end] else stroke[i + 2]
            yield before, start, end, after


def _basis(t: float, mirror_before: bool, mirror_after: bool) -> list[float]:
    """Weights of (before, start, end, after) at t in [0, 1] of a uniform Catmull-Rom segment.

    A mirrored neighbour is a reflection, as in before = 2 start - end: its weight goes to start and end.
    """
    before, start = (-t + 2 * t * t - t * t * t) / 2, (2 - 5 * t * t + 3 * t * t * t) / 2
    end, after = (t + 4 * t * t - 3 * t * t * t) / 2, (t * t * t - t * t) / 2
    if mirror_before:
        before, start, end = 0.0, start + 2 * before, end - before
    if mirror_after:
        start, end, after = start - after, end + 2 * after, 0.0
    return [before, start, end, after]


def _compile(title: str, first: str, second: str) -> _Shape:
    """Spread dots evenly along the strokes of a shape halfway between its extremes."""
    digit, share, name = title.split(maxsplit=2)
    points, corners, strokes = _parse(first)
    others, *structure = _parse(second)
    assert structure == [corners, strokes], f"the extremes of {name!r} differ in corners or strokes"
    extremes = np.array([points, others], np.float32)
    middle = (extremes[0] + extremes[1]) / 2
    neighbours, weights = [], []
    for before, start, end, after in _segments(corners, strokes):
        step = middle[end] - middle[start]
        dots = max(1, round(_DENSITY * float(np.sqrt(step[0] * step[0] + step[1] * step[1]))))
        for dot in range(dots):
            neighbours.append((max(before, 0), start, end, max(after, 0)))
            weights.append(_basis((dot + 0.5) / dots, before < 0, after < 0))
    index, weight = np.array(neighbours, np.intp), np.array(weights, np.float32)
    return _Shape(int(digit), float(share), extremes, index, weight)


def _compile_all() -> tuple[_Shape, ...]:
    lines = _SHAPES.strip().splitlines()
    return tuple(_compile(*group) for group in zip(lines[::3], lines[1::3], lines[2::3], strict=True))


_COMPILED = _compile_all()

# Random numbers

_MASK = 2**64 - 1


def _mix(words: _Words) -> _Words:
    """SplitMix64's finaliser, a bijection of words, which is the generator's output at position -1."""
    mixed: _Words = splitmix64(words, _MASK)
    return mixed


def _keys(seed: int, stream: str, indices: _Words) -> _Words:
    """One word for each index, from which `_Draws` draws; seed is any integer, taken modulo 2**64."""
    key = seed & _MASK
    for byte in stream.encode():
        key = splitmix64(key, byte)
    keys: _Words = splitmix64(key, indices - np.uint64(1))
    return keys


class _Draws:
    """A sequence of random numbers for each of n keys: draw number k uses word number k of every key."""

    def __init__(self, keys: _Words) -> None:
        self._keys = keys[:, None]
        self._used = 0

    def _words(self, count: int) -> _Words:
        words: _Words = splitmix64(self._keys, np.arange(self._used, self._used + count))
        self._used += count
        return words

    def uniform(self, low: float, high: float) -> _Floats:
        """(n, 1) in [low, high), in steps of 2**-24 of the range."""
        unit = (self._words(1) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        return unit * np.float32(high - low) + np.float32(low)

    def bell(self, spread: float, count: int = 1) -> _Floats:
        """(n, count) of mean 0 and standard deviation spread, within three of it: a sum of three uniforms."""
        words, mask = self._words(count), np.uint64(2**21 - 1)
        total = (words & mask) + (words >> np.uint64(21) & mask) + (words >> np.uint64(42) & mask)
        unit: _Floats = total.astype(np.float32) * np.float32(2.0**-20) - np.float32(3)
        return unit * np.float32(spread)


# Strokes


def _trace(shape: _Shape, draws: _Draws) -> tuple[_Floats, _Floats]:
    """The x and y, each (n, dots), of n digits of one shape: blended, every control point moved."""
    first, second = shape.extremes
    blend = draws.uniform(-0.3, 1.3)
    coordinates = []
    for axis in range(2):
        control = first[:, axis] + blend * (second - first)[:, axis] + draws.bell(0.039, len(first))
        parts = control[:, shape.neighbours] * shape.weights
        coordinates.append((parts[..., 0] + parts[..., 1]) + (parts[..., 2] + parts[..., 3]))
    return coordinates[0], coordinates[1]


def _bend(x: _Floats, y: _Floats, draws: _Draws) -> tuple[_Floats, _Floats]:
    """Bend the strokes smoothly (quadratics and cubics of position), then stretch, slant and turn them."""
    bell = draws.bell
    xx, xy, yy = x * x, x * y, y * y
    bent_x: _Floats = x + bell(0.15) * xx + bell(0.18) * xy + bell(0.18) * yy + bell(0.25) * (yy * y)
    bent_y: _Floats = y + bell(0.18) * xx + bell(0.18) * xy + bell(0.15) * yy + bell(0.25) * (xx * x)
    bent_x = bent_x * (np.float32(1) + bell(0.2)) - bent_y * (bell(0.28) + np.float32(0.12))
    # With t the tangent of half the angle, cosine and sine need no library function.
    t, one = bell(0.07), np.float32(1)
    cosine: _Floats = (one - t * t) / (one + t * t)
    sine: _Floats = (t + t) / (one + t * t)
    turned_x: _Floats = cosine * bent_x - sine * bent_y
    turned_y: _Floats = sine * bent_x + cosine * bent_y
    return turned_x, turned_y


# Ink

_BOX = 19.0  # between the middles of the soft edges: with them it is the 20 pixels of MNIST
_CANVAS = 22  # the box, and room for half a pixel of shift and the soft edge
_SIZE = 28
_BATCH = 256  # digits inked at once: two (256, 22, 22) float32 arrays stay in a core's cache


def _fit(x: _Floats, y: _Floats, radius: _Floats) -> tuple[_Floats, _Floats]:
    """Scale and move dots (n, dots) so that ink of `radius` pixels (n, 1) around them fills the box."""
    left, right = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    top, bottom = y.min(axis=1, keepdims=True), y.max(axis=1, keepdims=True)
    scale = (np.float32(_BOX) - 2 * radius) / np.maximum(right - left, bottom - top)
    middle = np.float32(_CANVAS / 2)
    return (x - (left + right) / 2) * scale + middle, (y - (top + bottom) / 2) * scale + middle


def _distance(x: _Floats, y: _Floats, radii: _Floats, radius: _Floats) -> _Floats:
    """(n, _CANVAS, _CANVAS): about how far each pixel is outside the ink, negative inside.

    The least of d*d - r*r over the dots costs an addition and a minimum per dot and pixel. The distance from
    it is exact where the radius r of the nearest dot is the mean `radius`.
    """
    centres = np.arange(_CANVAS, dtype=np.float32)[:, None] + np.float32(0.5)
    # The digits are the last axis, so that the inner loops of NumPy are long.
    across = x.T[:, None, :] - centres
    across *= across
    down = y.T[:, None, :] - centres
    down *= down
    down -= (radii * radii - radius * radius).T[:, None, :]
    least = down[0][:, None] + across[0]
    other = np.empty_like(least)
    for dot_down, dot_across in zip(down[1:], across[1:], strict=True):
        np.add(dot_down[:, None], dot_across, out=other)
        np.minimum(least, other, out=least)
    distance: _Floats = np.sqrt(np.maximum(least, 0)) - radius[:, 0]
    return distance.transpose(2, 0, 1)


def _blur(ink: _Floats, side: _Floats) -> _Floats:
    """Mix every pixel with its neighbours, down and across, with weights (side, 1 - 2 side, side)."""
    for _ in range(2):
        around = np.zeros_like(ink)
        around[:, 1:] += ink[:, :-1]
        around[:, :-1] += ink[:, 1:]
        ink = np.swapaxes(ink + side[:, :, None] * (around - 2 * ink), 1, 2)
    return ink


def _centre(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 28, 28): the canvases moved by whole pixels to put their centres of mass nearest to (14, 14)."""
    grey = canvas.astype(np.int64)
    total = np.maximum(grey.sum(axis=(1, 2)), 1)
    place = np.arange(_CANVAS)
    offsets = []
    for axis in (1, 2):
        moment = (grey.sum(axis=axis) * place).sum(axis=1)
        offsets.append(np.clip(_SIZE // 2 - (2 * moment + total) // (2 * total), 0, _SIZE - _CANVAS))
    columns, rows = offsets
    images = np.zeros((len(canvas), _SIZE, _SIZE), np.uint8)
    images[
        np.arange(len(canvas))[:, None, None],
        (rows[:, None] + place)[:, :, None],
        (columns[:, None] + place)[:, None, :],
    ] = canvas
    return images


def _ink(x: _Floats, y: _Floats, draws: _Draws) -> NDArray[np.uint8]:
    """(n, 28, 28): images of strokes x, y of shape (n, dots)."""
    radius = np.maximum(np.float32(1.25) + draws.bell(0.42), np.float32(0.6))
    x, y = _fit(x, y, radius)
    x, y = x + draws.uniform(-0.5, 0.5), y + draws.uniform(-0.5, 0.5)
    # Pressure rises or falls along the digit, and swells or fades at its middle.
    dots = x.shape[1]
    along = np.arange(1 - dots, dots, 2, dtype=np.float32) / np.float32(dots - 1)
    pressure = 1 + draws.bell(0.08) * along + draws.bell(0.08) * (along * along - np.float32(0.5))
    distance = _distance(x, y, radius * pressure, radius)
    softness, gain = draws.uniform(0.9, 1.3), draws.uniform(1.1, 1.5)
    ink = np.clip(np.float32(0.5) - distance / softness[:, :, None], 0, 1)
    ink = np.minimum(_blur(ink, draws.uniform(0.0, 0.05)) * gain[:, :, None], 1)
    return _centre((ink * np.float32(255) + np.float32(0.5)).astype(np.uint8))


# Public


def _choose(labels: NDArray[np.integer[Any]], keys: _Words) -> NDArray[np.intp]:
    """(n,): the index in _COMPILED of each digit's shape, drawn according to the shapes' shares."""
    level = _Draws(keys).uniform(0, 1)[:, 0]
    choice = np.empty(len(labels), np.intp)
    floor = dict.fromkeys(range(10), 0.0)
    for i, shape in enumerate(_COMPILED):
        # A later shape of the digit takes over from its floor upwards.
        choice[(labels == shape.digit) & (level >= np.float32(floor[shape.digit]))] = i
        floor[shape.digit] += shape.share
    return choice


def draw(labels: ArrayLike, seed: int = 0, *, split: Split = "train") -> NDArray[np.uint8]:
    """Draw one image per label.

    labels: integers 0..9 of shape (n,). Image i depends only on label i, i, seed (any integer) and split
    ("train" or "test": different random streams). Returns uint8 of shape (n, 28, 28), white (255) ink on
    black. Raises ValueError for labels of another shape, type or value, and for another split.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split: got {split!r}, expected 'train' or 'test'")
    digits = np.asarray(labels)
    if digits.ndim != 1 or digits.dtype.kind not in "iu":
        got = f"{digits.dtype} of shape {digits.shape}"
        raise ValueError(f"labels: got {got}, expected integers of shape (n,)")
    wrong = np.flatnonzero((digits < 0) | (digits > 9))
    if wrong.size:
        raise ValueError(f"labels: got {digits[wrong[0]]} at index {wrong[0]}, expected 0..9")
    keys = _keys(seed, split, np.arange(len(digits), dtype=np.uint64))
    choice = _choose(digits, keys)
    images = np.empty((len(digits), _SIZE, _SIZE), np.uint8)
    for i, shape in enumerate(_COMPILED):
        members = np.flatnonzero(choice == i)
        for low in range(0, len(members), _BATCH):
            batch = members[low : low + _BATCH]
            draws = _Draws(_mix(keys[batch]))
            images[batch] = _ink(*_bend(*_trace(shape, draws), draws), draws)
    return images


def _labels(count: int, seed: int, split: Split) -> NDArray[np.uint8]:
    """(count,) digits, each equally often as far as count allows, shuffled."""
    order = np.argsort(_keys(seed, split + " labels", np.arange(count, dtype=np.uint64)), kind="stable")
    return (order % 10).astype(np.uint8)


def generate(
    seed: int = 0,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw the whole dataset of `seed`.

    Returns uint8 arrays: train images (60000, 28, 28), train labels (60000,), test images (10000, 28, 28) and
    test labels (10000,). Train and test come from different random streams, with all digits equally often.
    """
    train_labels = _labels(TRAIN_SIZE, seed, "train")
    test_labels = _labels(TEST_SIZE, seed, "test")
    train_images = draw(train_labels, seed, split="train")
    test_images = draw(test_labels, seed, split="test")
    return train_images, train_labels, test_images, test_labels
