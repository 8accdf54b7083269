"""Pictures drawn as text: in half blocks of two greys each, or in characters of more or less ink."""

import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from .streams import in_one_line

SHADES = " \N{LIGHT SHADE}\N{MEDIUM SHADE}\N{DARK SHADE}\N{FULL BLOCK}"
ASCII_SHADES = " .:+#"
HALF = "\N{UPPER HALF BLOCK}"
SIDE = 28  # pixels of an image, and characters that it is wide
GAP = 2  # characters between images

_DARKEST, _GREYS = 232, 24  # of the 256 colours that terminals have, the greys in order


def format_pixels(pixels: NDArray[np.uint8], encoding: str | None) -> Iterator[str]:
    """Draw a picture (height, width) in a frame, ink as shades, two characters a pixel, a line each row.

    Args:
        pixels: the picture, light ink on black.
        encoding: of the stream that it is for; shades that this lacks are drawn as punctuation marks.
    """
    edge = "+" + "-" * 2 * pixels.shape[1] + "+"
    yield edge
    for row in _shaded(pixels.repeat(2, axis=1), encoding):
        yield f"|{row}|"
    yield edge


class Style(NamedTuple):
    """A way to draw images (28, 28) as text.

    Attributes:
        draw: makes the lines of a picture with an even number of rows, a character for each two of them.
        sides: the characters that an image may be wide, the most first.
    """

    draw: Callable[[NDArray[np.uint8]], list[str]]
    sides: tuple[int, ...]


def style_for(stream: TextIO | None) -> Style:
    """Choose half blocks for a terminal with colours, which NO_COLOR (no-color.org) forbids; else shades."""
    encoding = getattr(stream, "encoding", None)
    is_terminal = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    if is_terminal and not os.environ.get("NO_COLOR") and _can_print(HALF, encoding):
        return Style(_half_blocks, (SIDE, SIDE // 2))
    # Of half the size, five shades are too few to read a digit.
    return Style(lambda pixels: _shaded(_averaged(pixels, 2, 1), encoding), (SIDE,))


def most_columns(style: Style, width: int) -> int:
    """Return how many images fit side by side into `width` characters, when they are drawn smallest."""
    return (width + GAP) // (style.sides[-1] + GAP)


def draw_grid(
    images: NDArray[np.uint8], names: Sequence[str], style: Style, columns: int, width: int
) -> Iterator[str]:
    """Draw images (n, 28, 28) in rows, each below its name, as large as fits; yields lines.

    Args:
        images: light ink on black.
        names: of each image's class; what is too long is cut.
        style: how to draw them.
        columns: images in a row, most_columns() at most.
        width: of a line, in characters.
    """
    side = next(side for side in style.sides if columns * (side + GAP) - GAP <= width)
    small = _averaged(images, SIDE // side, SIDE // side)
    for first in range(0, len(images), columns):
        row = slice(first, first + columns)
        yield (" " * GAP).join(_fitted(name, side) for name in names[row]).rstrip()
        for parts in zip(*map(style.draw, small[row]), strict=True):
            yield (" " * GAP).join(parts).rstrip()


def _can_print(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _shaded(pixels: NDArray[np.uint8], encoding: str | None) -> list[str]:
    shades = SHADES if _can_print(SHADES, encoding) else ASCII_SHADES
    steps = (pixels.astype(np.float64) * (len(shades) - 1) / 255).round().astype(int)
    return ["".join(shades[step] for step in row) for row in steps]


def _half_blocks(pixels: NDArray[np.uint8]) -> list[str]:
    """Draw two rows a line: of each character, the upper half is its own colour, the lower the ground's."""
    greys = (_DARKEST + (pixels.astype(np.float64) * (_GREYS - 1) / 255).round()).astype(int)
    lines = []
    for upper, lower in zip(greys[::2].tolist(), greys[1::2].tolist(), strict=True):
        runs = ((pair, len(list(run))) for pair, run in groupby(zip(upper, lower, strict=True)))
        line = "".join(f"\x1b[38;5;{high};48;5;{low}m{HALF * count}" for (high, low), count in runs)
        lines.append(f"{line}\x1b[0m")
    return lines


def _averaged(pixels: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Reduce pictures (..., height, width) by whole factors."""
    *others, height, width = pixels.shape
    blocks = pixels.reshape(*others, height // rows, rows, width // columns, columns)
    means: NDArray[np.uint8] = blocks.mean(axis=(-3, -1)).round().astype(np.uint8)
    return means


def _fitted(name: str, width: int) -> str:
    """Cut a name to `width` characters of a terminal, or centre it: some characters are two wide, or none."""
    text, used = "", 0
    for character in in_one_line(name):
        wide = unicodedata.east_asian_width(character) in "FW"
        size = 0 if unicodedata.combining(character) else 1 + wide
        if used + size > width:
            break
        text, used = text + character, used + size
    before = (width - used) // 2
    return " " * before + text + " " * (width - used - before)
