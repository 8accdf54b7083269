"""Printed lines are struck from a picture; strokes that look like lines are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mpsmnist.prediction.rules import Mask
from mpsmnist.prediction.rules import strike_rules as strike_rules_of_ink

ROWS, COLUMNS = np.mgrid[:200, :200]


def line(start: tuple[int, int], stop: tuple[int, int], width: float) -> Mask:
    """The pixels nearer than half the width to a stretch from one (row, column) to another."""
    along = np.subtract(stop, start)
    way = ((ROWS - start[0]) * along[0] + (COLUMNS - start[1]) * along[1]) / (along @ along)
    way = way.clip(0, 1)
    return np.hypot(ROWS - start[0] - way * along[0], COLUMNS - start[1] - way * along[1]) <= width / 2


def strike_rules(mask: Mask) -> Mask:
    """Rules and digit are as dark."""
    return strike_rules_of_ink(mask.astype(np.float32), mask)


SEVEN = line((50, 60), (50, 130), 8) | line((50, 130), (150, 90), 8)
ONE = line((40, 100), (160, 100), 9)
FOUR = line((40, 90), (110, 60), 8) | line((110, 60), (110, 140), 8) | line((60, 115), (160, 115), 8)
DIGITS = {"7": SEVEN, "1": ONE, "4": FOUR}


def ruled(slope: float) -> Mask:
    lines = [line((row, 0), (round(row + 200 * slope), 199), 3) for row in range(20, 200, 45)]
    return np.logical_or.reduce(lines)


@pytest.mark.parametrize("name", DIGITS)
@pytest.mark.parametrize("slope", [0.0, 0.03])
@pytest.mark.parametrize("squared", [False, True])
def test_rules_go_and_the_digit_stays_whole(name: str, slope: float, squared: bool) -> None:
    digit = DIGITS[name]
    rules = ruled(slope) | (ruled(slope).T if squared else False)
    kept = strike_rules(digit | rules)
    assert (kept & digit).sum() > 0.93 * digit.sum()
    assert (kept & ~digit).sum() < 0.12 * (rules & ~digit).sum()
    assert ndimage.label(kept & digit, np.ones((3, 3)))[1] == 1


@pytest.mark.parametrize("name", DIGITS)
@pytest.mark.parametrize("tight", [False, True])
def test_a_digit_alone_is_kept(name: str, tight: bool) -> None:
    digit = DIGITS[name]
    if tight:
        rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
        digit = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    np.testing.assert_array_equal(strike_rules(digit), digit)


def test_a_square_zero_is_kept() -> None:
    zero = line((40, 60), (160, 60), 5) | line((40, 140), (160, 140), 5)
    zero |= line((40, 60), (40, 140), 5) | line((160, 60), (160, 140), 5)
    np.testing.assert_array_equal(strike_rules(zero), zero)


def test_a_thin_4_keeps_its_stem() -> None:
    """Which is a line that goes on past the rest to both sides, but no side of a box."""
    four = line((50, 90), (110, 60), 3) | line((110, 60), (110, 140), 3) | line((30, 115), (170, 115), 3)
    np.testing.assert_array_equal(strike_rules(four), four)


@pytest.mark.parametrize("name", DIGITS)
def test_a_box_that_a_digit_touches_goes(name: str) -> None:
    sides = line((30, 40), (160, 40), 3) | line((30, 150), (160, 150), 3)
    box = sides | line((30, 40), (30, 150), 3) | line((160, 40), (160, 150), 3)
    digit = DIGITS[name] | line((100, 100), (160, 100), 8)
    kept = strike_rules(digit | box)
    assert (kept & ~digit).sum() < 0.1 * box.sum()
    assert (kept & digit).sum() > 0.93 * digit.sum()


@pytest.mark.parametrize("row", [165, 175])
def test_a_line_to_write_on_goes(row: int) -> None:
    rule = line((row, 20), (row, 180), 3)
    kept = strike_rules(ONE | rule)
    assert not kept[row, 25:90].any()
    assert (kept & ONE).sum() > 0.93 * ONE.sum()


def test_what_is_left_beside_a_rule_goes_with_it() -> None:
    """It may be as long as parts of a small digit are."""
    digit = line((110, 100), (160, 100), 9)
    rule = line((168, 20), (168, 180), 2.5)
    rule[166, 25:47] = rule[170, 150:172] = True
    kept = strike_rules(digit | rule)
    np.testing.assert_array_equal(kept, digit)


@pytest.mark.parametrize("slope", [0.0, 0.03])
def test_a_fold_across_blank_paper_goes_unless_it_may_be_a_1(slope: float) -> None:
    fold = line((80, 0), (round(80 + 200 * slope), 199), 3)
    assert not strike_rules(fold).any()
    np.testing.assert_array_equal(strike_rules(fold.T), fold.T)
    left = strike_rules(fold | fold.T)
    assert not left[:, 120:].any()
    assert left[:, 75:90].any(axis=1).mean() > 0.9


def test_the_bars_of_a_thin_2_are_no_sides_of_a_box() -> None:
    diagonal = line((30, 140), (150, 60), 3)
    two = line((30, 60), (30, 140), 3) | diagonal | line((150, 60), (150, 142), 3)
    np.testing.assert_array_equal(strike_rules(two), two)


def test_a_thin_1_that_ends_before_the_edges_is_kept() -> None:
    one = line((8, 100), (199, 100), 3)
    np.testing.assert_array_equal(strike_rules(one), one)


@pytest.mark.parametrize("slope", [0.0, 0.03])
@pytest.mark.parametrize("squared", [False, True])
def test_darker_ink_that_lies_on_rules_is_kept(slope: float, squared: bool) -> None:
    """Such as the bar of a 7, which is no wider than they are."""
    rules = ruled(slope) | (ruled(slope).T if squared else False)
    bar = line((65, 60), (round(65 + 70 * slope), 130), 3)
    digit = bar | line((65, 130), (150, 90), 3)
    kept = strike_rules_of_ink(np.where(digit, 200, 80 * rules).astype(np.float32), digit | rules)
    np.testing.assert_array_equal(kept & digit, digit)
    assert (kept & ~digit).sum() < 0.12 * (rules & ~digit).sum()


def test_where_rules_cross_they_may_be_darker_and_go() -> None:
    rules, digit = ruled(0.0), SEVEN
    ink = np.maximum(80.0 * (rules | rules.T) + 50 * (rules & rules.T), 250 * digit)
    kept = strike_rules_of_ink(ink.astype(np.float32), digit | rules | rules.T)
    assert not (kept & ~digit & rules & rules.T).any()
