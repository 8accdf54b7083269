"""Pictures to be unsure of: several digits, none, or something else, under the conditions of digits."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from support import clean_kinds, photo_kinds
from support.handwriting import KINDS, Random, as_png, random_of
from support.ink import PEN_RADII, crop, fonts, print_type, resized, sources
from support.papers import Picture, camera, clouds, quantize, sheet
from support.strokes import Ink, Points, rasterize, write

# A hand can mean these for digits: O 0, I 1, Z 2, S 5, b 6, B 8, q 9 and so on.
LOOKALIKES = "OoDQIliZzSsbGBgq"
LETTERS = "".join(letter for letter in string.ascii_letters if letter not in LOOKALIKES)

_CONDITIONS = (
    clean_kinds.black_on_white,
    photo_kinds.gentle_gradient,
    clean_kinds.white_on_black,
    clean_kinds.as_mnist,
    photo_kinds.hand_shadow,
    photo_kinds.squared,
    photo_kinds.on_dark_table,
)


def _digit(rng: Random, digit: int | None = None) -> Ink:
    hands = sources()
    return hands[rng.integers(len(hands))](int(rng.integers(10)) if digit is None else digit, rng)


def _beside(left: Ink, right: Ink, gap: int, drop: int) -> Ink:
    """Two inks on one, the right one lower by `drop`, `gap` pixels between them."""
    height = max(left.shape[0] - min(drop, 0), right.shape[0] + max(drop, 0))
    ink = np.zeros((height, left.shape[1] + gap + right.shape[1]), np.float32)
    ink[max(-drop, 0) :, : left.shape[1]][: left.shape[0]] = left
    ink[max(drop, 0) :, left.shape[1] + gap :][: right.shape[0]] = right
    return ink


def two_digits(rng: Random) -> Ink:
    return _beside(_digit(rng), _digit(rng), int(rng.integers(12, 100)), int(rng.integers(-25, 26)))


def three_digits(rng: Random) -> Ink:
    return _beside(two_digits(rng), _digit(rng), int(rng.integers(12, 100)), int(rng.integers(-15, 16)))


def two_lines_of_digits(rng: Random) -> Ink:
    lines = [two_digits(rng), two_digits(rng)]
    return np.rot90(_beside(np.rot90(lines[0]), np.rot90(lines[1]), int(rng.integers(40, 120)), 0), -1)


def three_dots(rng: Random) -> Ink:
    """An ellipsis, a colon with one more, or dots anywhere."""
    rows, columns = np.mgrid[:260, :260] - 130
    radius = rng.uniform(8, 25)
    step = rng.uniform(2.5, 4) * radius
    middles = [
        [(0, -step), (0, 0), (0, step)],
        [(-step, 0), (0, 0), (step, 0)],
        [(-step * 0.5, 0), (step * 0.5, -step * 0.6), (step * 0.5, step * 0.6)],
    ][rng.integers(3)]
    ink = [(radius + 0.5 - np.hypot(rows - y, columns - x)).clip(0, 1) for y, x in middles]
    return crop(np.maximum.reduce(ink).astype(np.float32))


def _character(characters: str, rng: Random) -> Ink:
    character = characters[rng.integers(len(characters))]
    if fonts() and rng.random() < 0.4:
        return print_type(character, fonts()[rng.integers(len(fonts()))])
    return write(character, PEN_RADII[rng.integers(len(PEN_RADII))], rng)


def letters(rng: Random) -> Ink:
    return _character(LETTERS, rng)


def letters_like_digits(rng: Random) -> Ink:
    return _character(LOOKALIKES, rng)


def word(rng: Random) -> Ink:
    ink = _character(LETTERS, rng)
    for _ in range(rng.integers(2, 5)):
        ink = _beside(
            ink,
            resized(other := _character(LETTERS, rng), 200, other.shape[1] * 200 // other.shape[0]),
            20,
            0,
        )
    return ink


def scribble(rng: Random) -> Ink:
    """A pen that wanders about without lifting."""
    count = int(rng.integers(12, 40))
    spots = np.cumsum(rng.normal(0, 0.4, (count, 2)), axis=0) * 0.5 + rng.uniform(0, 1.2, (count, 2))
    dense = np.linspace(0, count - 1, count * 20)
    smooth = ndimage.spline_filter1d(spots, axis=0)
    curve = np.stack([ndimage.map_coordinates(axis, [dense], prefilter=False) for axis in smooth.T], axis=1)
    return rasterize([curve], PEN_RADII[rng.integers(6)], rng)


def _circle(y: float, x: float, radius: float, start: float = 0, end: float = 2 * np.pi) -> Points:
    t = np.linspace(start, end, 60)
    return np.stack([x + radius * np.cos(t), y + radius * np.sin(t)], axis=1)


def face(rng: Random) -> Ink:
    """A smiley."""
    gap, eye = rng.uniform(0.3, 0.45), rng.uniform(0.04, 0.12)
    mouth = _circle(rng.uniform(0, 0.2), 0, 0.5, np.pi * 0.15, np.pi * 0.85)
    parts = [_circle(0, 0, 1), _circle(-0.3, -gap, eye), _circle(-0.3, gap, eye), mouth]
    return rasterize([part + rng.normal(0, 0.02, 2) for part in parts], PEN_RADII[rng.integers(6)], rng)


def crossed_out(rng: Random) -> Ink:
    """A digit under a cross, strokes or a zigzag."""
    digit = _digit(rng)
    height, width = digit.shape
    across = np.linspace(-0.2, 1.2, 40)
    style = rng.integers(3)
    if style == 0:
        strokes = [np.stack([across, across], 1), np.stack([across, 1 - across], 1)]
    elif style == 1:
        strokes = [np.stack([across, np.full(40, y)], 1) for y in (0.3, 0.5, 0.7)]
    else:
        strokes = [np.stack([across, 0.5 + 0.4 * np.sin(across * rng.uniform(12, 25))], 1)]
    shaky = [s * [max(width, 100), height] + rng.normal(0, 1.2, s.shape).cumsum(0) for s in strokes]
    cross = rasterize(shaky, PEN_RADII[rng.integers(1, 6)], rng)
    shape = max(height, cross.shape[0]), max(width, cross.shape[1])
    both = np.zeros(shape, np.float32)
    for part in (digit, cross):
        top, left = ((n - m) // 2 for n, m in zip(shape, part.shape, strict=True))
        view = both[top : top + part.shape[0], left : left + part.shape[1]]
        np.maximum(view, part, out=view)
    return both


_TRIANGLE = np.array([[0, 1], [0.58, 0], [1.16, 1], [0, 1.0]])
_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0.0]])
_TURNS = np.arange(6) * 4 * np.pi / 5 - np.pi / 2
_STAR = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1)
_T = np.linspace(0, 2 * np.pi, 80)
_HEART = np.stack([16 * np.sin(_T) ** 3, -13 * np.cos(_T) + 5 * np.cos(2 * _T) + 2 * np.cos(3 * _T)], 1) / 16
_ARROW = [np.array([[0, 0.5], [1.6, 0.5]]), np.array([[1.1, 0], [1.6, 0.5], [1.1, 1]])]
_PLUS = [np.array([[0, 0.5], [1, 0.5]]), np.array([[0.5, 0], [0.5, 1]])]
_EQUALS = [np.array([[0, 0], [1, 0.0]]), np.array([[0, 0.4], [1, 0.4]])]
_HASH = [
    np.array(p, float)
    for p in ([[0.3, 0], [0.2, 1]], [[0.8, 0], [0.7, 1]], [[0, 0.3], [1, 0.3]], [[0, 0.7], [1, 0.7]])
]
_SHAPES = ([_TRIANGLE], [_SQUARE], [_STAR], [_HEART], _ARROW, _PLUS, _EQUALS, _HASH)


def shapes(rng: Random) -> Ink:
    """A triangle, a square, a star, a heart, an arrow, +, =, #."""
    turn = rng.normal(0, 0.1)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    strokes = [
        part @ matrix + rng.normal(0, 0.02, part.shape) for part in _SHAPES[rng.integers(len(_SHAPES))]
    ]
    return rasterize(strokes, PEN_RADII[rng.integers(6)], rng)


# What is a whole picture, not ink


def noise(rng: Random) -> Picture:
    """Every pixel random, or blobs of some size."""
    side = int(rng.choice([28, 64, 200]))
    if rng.random() < 0.5:
        return rng.integers(0, 256, (side, side), np.uint8)
    return quantize(0.5 + 0.2 * clouds((side, side), rng, side / rng.uniform(6, 20)))


def texture(rng: Random) -> Picture:
    """A photo of wood, cloth, bricks or gravel."""
    shape = (240, 240)
    style = rng.integers(4)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    if style == 0:
        field = np.sin(rows / rng.uniform(3, 9) + 2 * clouds(shape, rng, 60)) * 0.5
    elif style == 1:
        pitch = rng.uniform(4, 12)
        field = np.sin(rows * 2 * np.pi / pitch) * np.sin(
            columns * 2 * np.pi / pitch + np.pi * (rows // pitch % 2)
        )
    elif style == 2:
        height = int(rng.integers(20, 40))
        shift = rows // height % 2 * height
        field = (
            ((rows % height > 2) & ((columns + shift) % (2 * height) > 2)) * 1.2
            - 0.6
            + 0.3 * clouds(shape, rng, 8)
        )
    else:
        field = clouds(shape, rng, rng.uniform(5, 14)).clip(-1, 1)
    surface = sheet(shape, rng, tuple(rng.uniform(0.3, 0.6, 3))) * (1 + 0.4 * field[..., None]).astype(
        np.float32
    )
    return camera(surface, rng)


def _blank(kind: Callable[[Ink, Random], Picture]) -> Callable[[Random], Picture]:
    return lambda rng: kind(np.zeros((200, 120), np.float32), rng)


class NotDigit(NamedTuple):
    """Something that the answer should be unsure of."""

    name: str
    make: Callable[[Random], Picture]


def _in_turn(mark: Callable[[Random], Ink]) -> Callable[[Random], Picture]:
    def make(rng: Random) -> Picture:
        return _CONDITIONS[rng.integers(len(_CONDITIONS))](mark(rng), rng)

    return make


_MARKS = (
    two_digits,
    three_digits,
    two_lines_of_digits,
    three_dots,
    letters,
    letters_like_digits,
    word,
    scribble,
    face,
    crossed_out,
    shapes,
)
NOT_DIGITS = (
    *(NotDigit(mark.__name__, _in_turn(mark)) for mark in _MARKS),
    NotDigit("noise", noise),
    NotDigit("texture", texture),
    NotDigit("blank_canvas", _blank(clean_kinds.black_on_white)),
    *(NotDigit(f"blank_{kind.name}", _blank(kind.make)) for kind in KINDS if kind.sort == "photo"),
)


def pictures(kind: NotDigit, count: int, seed: int = 0) -> Iterator[tuple[Picture, bytes]]:
    """`count` pictures of a kind, each with its file."""
    for number in range(count):
        rng = random_of(kind.name, number, seed)
        picture = kind.make(rng)
        yield picture, as_png(picture, rng)
