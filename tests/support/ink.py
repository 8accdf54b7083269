"""Where the digits of the pictures come from: a pen, the fonts of this machine, MNIST's test digits."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from mpsmnist.data import load
from support.strokes import INK_SIDE, Ink, write

Source = Callable[[int, np.random.Generator], Ink]  # a digit as one pen, font or set has it

PEN_RADII = (0.018, 0.025, 0.032, 0.04, 0.05, 0.06, 0.07, 0.085)  # shares of the digit's longer side

# Upright and slanted, light and bold, with serifs and without; the first eight that the machine has.
_FONTS = (
    "DejaVuSans",
    "DejaVuSerif-Bold",
    "DejaVuSansCondensed-Oblique",
    "cmr10",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "DejaVuSans-Bold",
    "DejaVuSans-ExtraLight",
    "Arial",
    "Times New Roman",
    "LiberationSans-Regular",
    "LiberationSerif-Regular",
    "Georgia",
    "Verdana Bold",
    "Helvetica",
    "Courier New",
    "Comic Sans MS",
    "Trebuchet MS",
)
FONTS_USED = 8


@cache
def fonts() -> tuple[Path, ...]:
    """Files of fonts, none where matplotlib or fonts are not installed."""
    try:
        import matplotlib
        from matplotlib.font_manager import findSystemFonts
    except ImportError:
        return ()
    own = Path(matplotlib.get_data_path(), "fonts", "ttf").glob("*.ttf")
    found = {path.stem: path for path in itertools.chain(own, map(Path, findSystemFonts()))}
    return tuple(found[name] for name in _FONTS if name in found)[:FONTS_USED]


def print_type(text: str, font: Path) -> Ink:
    """Text in a font, cropped."""
    mask = ImageFont.truetype(str(font), INK_SIDE).getmask(text, "L")
    ink = np.array(mask, np.float32).reshape(mask.size[1], mask.size[0]) / 255
    return crop(ink)


def crop(ink: Ink) -> Ink:
    """The ink without bare rows and columns around it."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def resized(ink: Ink, height: int, width: int) -> Ink:
    """The ink at another size; reduced, every pixel counts."""
    image = Image.fromarray(ink).resize(
        (max(1, width), max(1, height)), Image.Resampling.BICUBIC, reducing_gap=3
    )
    return np.asarray(image).clip(0, 1)


@cache
def test_digits() -> tuple[NDArray[np.uint8], ...] | None:
    """MNIST's test images of each digit 0..9, None without MPSMNIST_DATA_DIR."""
    if not os.environ.get("MPSMNIST_DATA_DIR"):
        return None
    data = load("mnist", offline=True)
    return tuple(data.test_images[data.test_labels == digit] for digit in range(10))


def enlarge(image: NDArray[np.uint8]) -> Ink:
    """A digit of MNIST at ten times its size, its soft edges made a pen's."""
    ink = crop(image.astype(np.float32) / 255)
    factor = INK_SIDE // 20
    large = resized(np.pad(ink, 1), (ink.shape[0] + 2) * factor, (ink.shape[1] + 2) * factor)
    return crop(((large - 0.2) / 0.45).clip(0, 1))


def _pen(radius: float) -> Source:
    return lambda digit, rng: write(str(digit), radius, rng)


def _font(path: Path) -> Source:
    return lambda digit, _rng: print_type(str(digit), path)


def _mnist(digit: int, rng: np.random.Generator) -> Ink:
    digits = test_digits()
    assert digits is not None
    return enlarge(digits[digit][rng.integers(len(digits[digit]))])


def sources(pens: tuple[float, ...] | None = None) -> list[Source]:
    """Fonts, pens and test digits by turns, as many as there are; with `pens`, these alone."""
    if pens is not None:
        return [_pen(radius) for radius in pens]
    sets = [
        [_mnist] * 10 if test_digits() else [],
        [_pen(radius) for radius in PEN_RADII],
        [*map(_font, fonts())],
    ]
    return [source for turn in itertools.zip_longest(*sets) for source in turn if source is not None]


def left_out() -> Iterator[str]:
    """Why some sources are missing here."""
    if not fonts():
        yield "no digits in fonts: matplotlib or its known fonts are not installed"
    if not test_digits():
        yield "no enlarged test digits: MPSMNIST_DATA_DIR does not name MNIST's folder"
