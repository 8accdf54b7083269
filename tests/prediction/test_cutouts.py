"""A digit that was cut out around its ink is seen as one with paper around it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from mpsmnist.prediction.cutouts import with_paper_around
from mpsmnist.prediction.pictures import prepare
from support.pictures import Grey


def cut_out(kind: str, size: int) -> Grey:
    """Light ink on black: a 0, an 8, a 7 or a slanted 1 that reaches all four edges."""
    rows, columns = (part.repeat(size, 0).repeat(size, 1) for part in np.mgrid[-9.5:10, -6.5:7])
    ink = (np.hypot(rows / 10, columns / 7) < 1) & (np.hypot(rows / 8, columns / 4) > 1)
    if kind == "8":
        ink |= (abs(rows) < 1.5) & (abs(columns) < 6)
    if kind == "1":
        ink = abs(columns + 0.2 * rows) < 1.5
    if kind == "7":
        ink = (rows < -7) | (abs(columns + 0.4 * rows) < 1.5)
    return np.where(ink[:, ink.any(axis=0)], 255, 0).astype(np.uint8)


def assert_is_found(digit: Grey, negative: bool) -> None:
    expected = prepare(np.pad(digit, max(digit.shape) // 2)).pixels.astype(int)
    found = prepare(255 - digit if negative else digit)
    assert found.inverted == negative
    shifts = itertools.product((-1, 0, 1), repeat=2)
    apart = [abs(np.roll(found.pixels, shift, (0, 1)) - expected).mean() for shift in shifts]
    assert min(apart) <= 8  # a centre of mass that is halfway between two pixels may fall to either


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("size", [1, 2, 8])
@pytest.mark.parametrize("kind", ["0", "1", "7", "8"])
def test_a_digit_may_be_cut_out_exactly(kind: str, size: int, negative: bool) -> None:
    """The paper within it, which ends at the edges, is no ink."""
    assert_is_found(cut_out(kind, size), negative)


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("kind", ["0", "1", "7", "8"])
def test_a_little_paper_may_be_left_around_it(kind: str, negative: bool) -> None:
    digit = np.pad(cut_out(kind, 8), ((2, 3), (3, 1)))
    assert with_paper_around(digit.astype(np.float32)) is not None
    assert_is_found(digit, negative)


@pytest.mark.parametrize("negative", [False, True])
def test_soft_strokes_that_were_cut_out_are_no_noise(negative: bool) -> None:
    """Hardly anything but them is there to tell the noise by."""
    image = Image.fromarray(cut_out("8", 8)).resize((13, 20), Image.Resampling.BILINEAR)
    assert_is_found(np.asarray(image), negative)


@pytest.mark.parametrize("kind", ["0", "1", "7", "8"])
def test_the_paper_is_as_at_the_edges(kind: str) -> None:
    digit = np.maximum(cut_out(kind, 2), 30).astype(np.float32)
    padded = with_paper_around(digit)
    assert padded is not None
    margin = (padded.shape[0] - digit.shape[0]) // 2
    assert margin >= digit.shape[0] // 4
    inside = slice(margin, -margin)
    np.testing.assert_array_equal(padded[inside, inside], digit)
    padded[inside, inside] = 30
    assert (padded == 30).all()


def noise() -> Grey:
    """One mark above halfway that reaches all edges, as in a cut-out, but any level is as likely."""
    ink = cut_out("8", 2) > 0
    levels = np.random.default_rng(0).integers(0, 128, ink.shape)
    return np.where(ink, 255 - levels, levels).astype(np.uint8)


def not_cut_out() -> dict[str, Grey]:
    eight = cut_out("8", 2)
    dot = eight.copy()
    dot[1, 1] = 255
    table = np.zeros((60, 60), np.uint8)
    table[:6] = table[:, :5] = 255  # three corners
    hand = np.zeros((60, 60), np.uint8)
    hand[35:] = hand[:, 5:13] = hand[:, 25:33] = 255  # the shadow of one, with two fingers
    sheet = np.full((60, 60), 255, np.uint8)
    sheet[:20, :4] = sheet[-30:, -4:] = 0
    return {
        "blank": np.zeros((20, 20), np.uint8),
        "paper above": np.pad(eight, ((4, 0), (0, 0))),
        "paper below": np.pad(eight, ((0, 4), (0, 0))),
        "paper on the left": np.pad(eight, ((0, 0), (4, 0))),
        "paper on the right": np.pad(eight, ((0, 0), (0, 4))),
        "two marks": dot,
        "noise": noise(),
        "a table around a sheet": table,
        "a hand": hand,
        "a sheet": sheet,
    }


@pytest.mark.parametrize("what", not_cut_out())
def test_nothing_else_gets_paper_around_it(what: str) -> None:
    assert with_paper_around(not_cut_out()[what].astype(np.float32)) is None
