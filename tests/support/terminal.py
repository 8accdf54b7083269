"""A terminal for commands to print to, and what is seen in it."""

from __future__ import annotations

import io
import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

HALF = "\N{UPPER HALF BLOCK}"


class Terminal(io.StringIO):
    """A text stream that calls itself a terminal of this encoding."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


def without_colours(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def width(line: str) -> int:
    """The columns of a terminal that a line takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "FW" else 1
        for c in without_colours(line)
    )


def greys(lines: list[str]) -> NDArray[np.int64]:
    """The greys, 0 to 23, of the pixels that half blocks show; -1 where there is something else."""
    rows: list[list[int]] = []
    for line in lines:
        upper: list[int] = []
        lower: list[int] = []
        colours = (-1, -1)
        for code, character in re.findall(r"\x1b\[([0-9;]*)m|(.)", line):
            if not character:
                found = re.fullmatch("38;5;([0-9]+);48;5;([0-9]+)", code)
                colours = (int(found[1]) - 232, int(found[2]) - 232) if found else (-1, -1)
            else:
                shown = colours if character == HALF else (-1, -1)
                upper.append(shown[0])
                lower.append(shown[1])
        rows += [upper, lower]
    return np.array(rows)
