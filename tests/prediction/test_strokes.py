"""Strokes become as wide and as sharp as those of MNIST's digits."""

from __future__ import annotations

import numpy as np
import pytest

from mpsmnist.prediction.colours import Levels
from mpsmnist.prediction.strokes import FINE, NARROWEST, WIDEST, redrawn

BOX = 20


def ring(width: float) -> Levels:
    """An O of 120 pixels, its stroke `width` pixels of 20 wide."""
    from_middle = np.hypot(*np.mgrid[-60:60, -60:60])
    half = width * 120 / BOX / 2
    return (half - abs(from_middle - 60 + half)).clip(0, 1).astype(np.float32)


def widths(drawn: Levels) -> tuple[float, float]:
    """The stroke of an O from the left to the middle, and from the top, in pixels of 20."""
    row, column = drawn[len(drawn) // 2], drawn[:, drawn.shape[1] // 2]
    return float(row.sum()) / 2 / FINE, float(column.sum()) / 2 / FINE


@pytest.mark.parametrize(
    ("width", "expected"),
    [(0.6, NARROWEST), (1.4, NARROWEST), (2.6, 2.6), (3.5, 3.5), (5.0, WIDEST), (6.0, WIDEST)],
)
def test_strokes_are_as_wide_as_mnists(width: float, expected: float) -> None:
    assert widths(redrawn(ring(width), BOX)) == pytest.approx((expected, expected), abs=0.35)


def test_a_hair_line_beside_a_bold_stroke_is_not_thinned() -> None:
    ink = np.zeros((120, 120), np.float32)
    ink[:, 70:] = 1
    ink[54:66, :70] = 1
    drawn = redrawn(ink, BOX)
    line = drawn[:, drawn.shape[1] // 4]
    assert line.sum() / FINE == pytest.approx(2.0, abs=0.4)
    assert drawn.sum(axis=1)[20] < 0.75 * 50 / 120 * BOX * FINE  # and the bold stroke is


def test_a_hair_line_beside_a_bold_stroke_becomes_wider() -> None:
    """As in a printed 4, which is no 1."""
    ink = np.zeros((120, 120), np.float32)
    ink[:, 100:] = 1
    ink[58:62, :100] = 1
    drawn = redrawn(ink, BOX)
    line = drawn[:, drawn.shape[1] // 4]
    assert line.sum() / FINE == pytest.approx(NARROWEST, abs=0.35)


def test_edges_are_sharp_however_few_pixels_the_picture_has() -> None:
    drawn = redrawn(ring(3)[6::12, 6::12], BOX)
    assert np.mean((drawn > 0.1) & (drawn < 0.9)) < 0.1


def test_a_gap_that_is_narrower_than_a_pixel_stays_open() -> None:
    """Two strokes, and half a pixel of paper between them."""
    ink = np.zeros((12, 7), np.float32)
    ink[:, 1:3] = ink[:, 4:6] = 1
    ink[:, 3] = 0.5
    across = redrawn(ink, BOX)[40]
    middle = len(across) // 2
    assert across[middle - 2 : middle + 2].min() == 0
    assert across[:middle].max() == across[middle:].max() == 1


def test_ink_that_is_all_paper_is_no_error() -> None:
    assert redrawn(np.full((5, 5), 0.1, np.float32), BOX).max() <= 0.1


def test_what_is_as_pale_as_print_is_no_stroke() -> None:
    """A rule that ends at a stroke, and was left because it is paler than what may be print."""
    ink = np.zeros((120, 120), np.float32)
    ink[10:110, 50:62] = 1
    alone = redrawn(ink, BOX)
    ink[40:45, 62:69] = 0.2
    np.testing.assert_array_equal(redrawn(ink, BOX), alone)
