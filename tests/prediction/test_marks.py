"""Marks are the digit's strokes, or what lies around it, or specks."""

from __future__ import annotations

import numpy as np
import pytest

from mpsmnist.prediction.marks import (
    Mask,
    drop_borders,
    drop_holes,
    drop_specks,
    has_a_dot,
    one_digit,
    split_into_digits,
    thickness,
)
from mpsmnist.prediction.marks import drop_surroundings as drop_surroundings_of_ink

ROWS, COLUMNS = np.mgrid[:200, :200]


def drop_surroundings(mask: Mask) -> Mask:
    """All marks are as dark."""
    return drop_surroundings_of_ink(mask.astype(np.float32), mask)


def block(top: int, left: int, height: int, width: int) -> Mask:
    return (top <= ROWS) & (top + height > ROWS) & (left <= COLUMNS) & (left + width > COLUMNS)


STROKE = (abs(COLUMNS - 100) < 5) & (abs(ROWS - 100) < 40)
RING = abs(np.hypot(ROWS - 100, COLUMNS - 100) - 70) < 6


CORNER = block(160, 30, 6, 140) | block(30, 164, 136, 6)


def edge(width: int) -> Mask:
    return (np.minimum(ROWS, 199 - ROWS) < width) | (np.minimum(COLUMNS, 199 - COLUMNS) < width)


@pytest.mark.parametrize(
    "surroundings",
    [
        edge(3),
        edge(25),
        RING,
        CORNER,
        ROWS + COLUMNS < 70,
        ROWS > 180,
        (COLUMNS < 15) & (abs(ROWS - 90) < 50),
    ],
    ids=["frame", "table", "ring", "shadow of a note", "corner", "scanner's edge", "part of an edge"],
)
def test_what_lies_around_a_digit_goes(surroundings: Mask) -> None:
    np.testing.assert_array_equal(drop_surroundings(STROKE | surroundings), STROKE)


@pytest.mark.parametrize(
    "digit",
    [
        STROKE,
        RING,
        RING | (np.hypot(ROWS - 100, COLUMNS - 100) < 9),
        (ROWS < 20) | (abs(COLUMNS - 199 + ROWS / 2) < 15),
        edge(20),
        RING | block(98, 70, 4, 60),
        block(40, 60, 70, 8) | block(102, 60, 80, 8) | block(60, 110, 36, 8) | block(116, 110, 50, 8),
    ],
    ids=[
        "1",
        "0",
        "0 with a dot",
        "7 that fills the canvas",
        "0 along the edges",
        "0 with a piece of a rule",
        "4 in three strokes",
    ],
)
def test_what_lies_around_nothing_stays(digit: Mask) -> None:
    np.testing.assert_array_equal(drop_surroundings(digit), digit)


@pytest.mark.parametrize(("level", "inside"), [(0.3, "stain"), (0.3, "bold 1"), (0.6, "stain")])
def test_what_is_around_a_pale_speck_stays(level: float, inside: str) -> None:
    """And goes, if it is around what may be a digit: as dark, or heavy."""
    mark = block(70, 95, 55, 3) if inside == "stain" else block(60, 85, 80, 30)
    kept = drop_surroundings_of_ink(np.where(RING, 1, level * mark).astype(np.float32), RING | mark)
    is_speck = (level, inside) == (0.3, "stain")
    np.testing.assert_array_equal(kept, RING | mark if is_speck else mark)


@pytest.mark.parametrize(("level", "width"), [(0.6, 1), (0.6, 6), (0.9, 1)])
def test_a_piece_of_a_rule_in_a_loop_is_nothing(level: float, width: int) -> None:
    """It has hardly any of the ink and is paler: what has more, or is as dark, may be a digit in a frame."""
    mark = block(72, 98, 55, width)
    kept = drop_surroundings_of_ink(np.where(RING, 1, level * mark).astype(np.float32), RING | mark)
    np.testing.assert_array_equal(kept, RING | mark if (level, width) == (0.6, 1) else mark)


def test_a_corner_goes_although_the_digit_reaches_the_edge() -> None:
    digit = np.roll(STROKE, 65, 0)
    np.testing.assert_array_equal(drop_surroundings(digit | (ROWS + COLUMNS < 70)), digit)


def disc(row: int, column: int, radius: float = 7) -> Mask:
    return np.hypot(ROWS - row, COLUMNS - column) < radius


@pytest.mark.parametrize("sides", [0, 1, 2, 3])
@pytest.mark.parametrize("places", [(50, 150), (40, 80, 120, 160)])
def test_the_holes_of_a_punch_go(sides: int, places: tuple[int, ...]) -> None:
    """Even those that are close to the digit."""
    holes = np.rot90(np.logical_or.reduce([disc(45, place) for place in places]), sides)
    np.testing.assert_array_equal(drop_holes(STROKE | holes), STROKE)


@pytest.mark.parametrize(
    "marks",
    [
        disc(60, 60, 24) | disc(60, 140, 20) | disc(140, 140, 20),
        np.logical_or.reduce([disc(20 + 16 * step, 100) for step in range(10)]),
        STROKE | disc(40, 110),
        STROKE | disc(40, 100) | disc(160, 100),
        STROKE | disc(40, 100, 4) | disc(40, 130, 9),
        STROKE | block(45, 60, 8, 24) | block(45, 120, 8, 24),
        STROKE | disc(45, 100) | disc(45, 116),
    ],
    ids=[
        "discs as large",
        "dotted 1",
        "one dot",
        "dots above and below",
        "dots unlike",
        "bar in two parts",
        "broken bar",
    ],
)
def test_dots_that_are_no_holes_stay(marks: Mask) -> None:
    np.testing.assert_array_equal(drop_holes(marks), marks)


@pytest.mark.parametrize("side", [0, 1, 2, 3])
def test_what_lies_along_one_edge_goes_even_alone(side: int) -> None:
    """The whole of it, or the wedge that a table leaves beside paper."""
    for border in ((COLUMNS < 25) | ((COLUMNS < 40) & (ROWS < 30)), COLUMNS < 20 - ROWS / 5):
        turned = np.rot90(border, side)
        assert not drop_borders(turned).any()
        np.testing.assert_array_equal(drop_borders(STROKE | turned), STROKE)


@pytest.mark.parametrize(
    "digit",
    [(ROWS < 20) | (abs(COLUMNS - 199 + ROWS / 2) < 15), edge(20), (COLUMNS < 20) & (abs(ROWS - 100) < 90)],
    ids=["7 that fills the canvas", "0 along the edges", "1 along one edge"],
)
def test_digits_at_the_edge_stay(digit: Mask) -> None:
    np.testing.assert_array_equal(drop_borders(digit), digit)


def test_specks_and_pale_marks_go_and_strokes_stay() -> None:
    bar = (abs(ROWS - 50) < 4) & (abs(COLUMNS - 115) < 20)
    speck = np.hypot(ROWS - 20, COLUMNS - 20) < 3
    smudge = (abs(COLUMNS - 160) < 8) & (abs(ROWS - 100) < 30)
    ink = np.where(smudge, 30, 100).astype(np.float32)
    np.testing.assert_array_equal(drop_specks(ink, STROKE | bar | speck | smudge), STROKE | bar)
    np.testing.assert_array_equal(drop_specks(ink, speck), speck)


def test_strokes_near_each_other_are_one_digit() -> None:
    near, far = np.roll(STROKE, 22, 1), np.roll(STROKE, 80, 1)
    ink = np.ones(STROKE.shape, np.float32) + STROKE
    np.testing.assert_array_equal(one_digit(ink, STROKE | near | far), STROKE | near)


def test_thickness_is_a_share_of_the_length() -> None:
    ink = np.ones(STROKE.shape, np.float32)
    assert thickness(ink, STROKE) == pytest.approx(10 / 79, abs=0.02)
    assert thickness(ink, np.hypot(ROWS - 100, COLUMNS - 100) < 40) > 0.6


def digits_of(mask: Mask) -> list[Mask]:
    labels, digits = split_into_digits(mask)
    return [labels == digit for digit in digits]


def test_thousands_of_dots_are_taken_one_by_one() -> None:
    """Textures have as many; to compare each with each in Python would take minutes."""
    dots = np.zeros((350, 350), bool)
    dots[3::7, 3::7] = dots[4::7, 3::7] = True
    beside = np.pad(dots, ((0, 0), (0, 200)))
    beside[50:300, 460:490] = True
    assert len(split_into_digits(drop_surroundings(dots))[1]) == 50**2
    np.testing.assert_array_equal(drop_surroundings(drop_holes(beside)), beside)


def test_lines_of_digits_are_read_in_order() -> None:
    digits = [block(20, 30, 50, 20), block(12, 80, 50, 20), block(110, 20, 50, 20), block(118, 70, 50, 20)]
    parts = digits_of(np.logical_or.reduce(digits))
    assert len(parts) == 4
    for part, digit in zip(parts, digits, strict=True):
        np.testing.assert_array_equal(part, digit)


def test_the_bar_of_a_5_is_its_own() -> None:
    five, bar, other = block(60, 40, 60, 30), block(48, 45, 6, 40), block(50, 110, 70, 20)
    first, second = digits_of(five | bar | other)
    np.testing.assert_array_equal(first, five | bar)
    np.testing.assert_array_equal(second, other)


def test_a_mark_much_smaller_than_the_digits_is_none() -> None:
    hole = np.hypot(ROWS - 60, COLUMNS - 20) < 12
    np.testing.assert_array_equal(digits_of(STROKE | hole), [STROKE])
    small = (abs(COLUMNS - 160) < 3) & (abs(ROWS - 100) < 20)
    np.testing.assert_array_equal(digits_of(STROKE | small), [STROKE, small])


def test_a_dot_above_a_stroke_is_told() -> None:
    stem = block(70, 95, 90, 10)
    dot = block(50, 94, 12, 12)
    assert has_a_dot(stem | dot)
    assert has_a_dot(stem | disc(55, 100) | block(150, 75, 10, 30))


@pytest.mark.parametrize(
    "marks",
    [
        block(70, 95, 90, 10),
        block(70, 95, 90, 10) | block(50, 95, 12, 40),
        block(70, 95, 90, 10) | block(45, 95, 20, 10),
        block(70, 95, 90, 10) | block(30, 85, 34, 34),
        block(50, 95, 90, 10) | block(150, 94, 12, 12),
        block(50, 95, 90, 10) | block(60, 115, 12, 12),
        block(90, 95, 70, 10) | block(50, 94, 12, 12) | block(70, 94, 12, 12),
    ],
    ids=["no dot", "bar of a 5", "top of a broken 1", "too large", "below", "beside", "two"],
)
def test_what_is_no_dot_above_a_stroke(marks: Mask) -> None:
    assert not has_a_dot(marks)
