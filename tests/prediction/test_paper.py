"""Ink stands out of the paper around it, and of the noise."""

from __future__ import annotations

import numpy as np
import pytest

from mpsmnist.prediction.paper import bridged, evened, find_paper, ink_above, marked, noise, stands_out

RANDOM = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[:200, :200].astype(np.float32)


def stroke(width: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    return (abs(COLUMNS - 100) < width / 2) & (abs(ROWS - 100) < 80)


@pytest.mark.parametrize("width", [2, 12, 40, 70])
def test_paper_goes_on_under_strokes_of_every_width(width: int) -> None:
    levels = 40 + 0.1 * COLUMNS
    paper = find_paper((levels + 100 * stroke(width)).astype(np.float32))
    assert abs(paper - levels)[10:-10, 10:-10].max() <= 12


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_paper_goes_on_under_what_little_of_the_strokes_is_at_the_edge(turns: int) -> None:
    """Such as the top of a 0; and what is beyond the edge does not count."""
    strokes = (abs(abs(COLUMNS - 100) - 40) < 10) & (abs(ROWS - 100) < 80)
    strokes |= (COLUMNS < 20) & (abs(ROWS - 100) < 12)
    levels = (40 + 100 * np.rot90(strokes, turns)).astype(np.float32)
    assert abs(find_paper(levels) - 40).max() <= 12


def test_the_shadow_of_a_hand_at_the_edge_is_wider_than_strokes_and_is_paper() -> None:
    levels = (40 + 60 * (COLUMNS < 60) + 100 * stroke(8)).astype(np.float32)
    assert abs(find_paper(levels)[100, 5:55] - 100).max() <= 12


def test_paper_follows_a_spot_of_light_that_is_wider_than_the_strokes() -> None:
    spot = 120 * np.exp(-((ROWS - 60) ** 2 + (COLUMNS - 110) ** 2) / (2 * 30**2))
    levels = (spot + 100 * stroke(6)).astype(np.float32)
    ink = ink_above(levels, find_paper(levels))
    assert ink[stroke(6)].min() > 1.5 * ink[~stroke(6)].max()


@pytest.mark.parametrize("deviation", [0.0, 2.0, 12.0])
def test_noise_is_estimated_beside_rules_and_ink(deviation: float) -> None:
    levels = RANDOM.normal(0, 1, (200, 200)) * deviation + 100 * stroke(30)
    levels[::20] += 80
    assert 0.9 * deviation <= noise(levels.astype(np.float32)) <= 1.1 * deviation + 0.1 * 80


@pytest.mark.parametrize("pitch", [18, 25])
@pytest.mark.parametrize("deviation", [0.0, 2.0])
def test_close_squares_are_hardly_noise(pitch: int, deviation: float) -> None:
    """A digit on them stands out as on bare paper."""
    levels = RANDOM.normal(0, 1, (200, 200)) * deviation
    squares = np.zeros((200, 200), bool)
    for first in range(3):
        squares[first::pitch] = squares[:, first::pitch] = True
    assert 0.8 * deviation <= noise((levels + 80 * squares).astype(np.float32)) <= 1.1 * deviation + 0.05 * 80


def test_marks_are_stronger_than_noise_and_than_what_is_near() -> None:
    ink = np.zeros((200, 200), np.float32)
    ink[20:180, 40:50] = 100
    ink[20:180, 60:70] = 30  # near something stronger
    ink[20:180, 180:190] = 30  # and far from it
    (mask,) = marked(ink, np.zeros_like(ink), 0.4)
    assert (mask[100, 45], mask[100, 65], mask[100, 185]) == (True, False, True)
    assert not marked(ink, np.full_like(ink, 30), 0.4)[0].any()


def test_pale_ink_that_joins_marks_is_ink_and_their_fringes_are_not() -> None:
    whole = stroke(10)
    glare, bottom = (ROWS > 90) & (ROWS < 110), ROWS >= 110
    ink, pale = whole & ~glare, stroke(16)
    assert (bridged(ink, whole) == whole).all()
    assert (bridged(ink & ~bottom, whole) == ink & ~bottom).all()  # glare on its end joins nothing
    assert not (bridged(whole, pale) & ~whole).any()
    assert (bridged(ink, ink) == ink).all()


def test_what_is_soft_or_may_be_chance_does_not_stand_out() -> None:
    still = np.zeros((200, 200), np.float32)
    soft = (100 * np.exp(-((ROWS - 100) ** 2 + (COLUMNS - 100) ** 2) / (2 * 40**2))).astype(np.float32)
    assert not stands_out(soft, soft > 50, still)
    sharp = (100 * stroke(10)).astype(np.float32)
    assert stands_out(sharp, stroke(10), still + 1)
    dot = np.zeros((200, 200), bool)
    dot[50, 50] = True
    assert not stands_out((7.0 * dot).astype(np.float32), dot, still + 1)
    assert not stands_out(sharp, np.zeros_like(dot), still)


def test_ink_is_as_full_in_the_shade_as_in_the_light() -> None:
    mask = stroke(12)
    even = evened((mask * (20 + ROWS)).astype(np.float32), mask)
    assert even[mask].min() > 0.75
    assert even.max() <= 1
    assert even[~mask].max() == 0


def test_in_few_pixels_pale_ink_stays_pale() -> None:
    """What is narrower than a pixel is not as full as what is wider."""
    ink = np.zeros((28, 28), np.float32)
    ink[4:24, 18:22], ink[4:24, 6] = 200, 60
    even = evened(ink, ink > 0)
    assert even[14, 20] == 1
    assert even[14, 6] == pytest.approx(0.3, abs=0.01)
