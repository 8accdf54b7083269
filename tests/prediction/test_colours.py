"""Colours and transparency become levels that tell ink from paper."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mpsmnist.prediction.colours import to_levels
from mpsmnist.prediction.reading import PictureError
from support.pictures import drawing

INK = drawing() > 0


def coloured(ink: tuple[int, ...], paper: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.where(INK[..., np.newaxis], ink, paper).astype(np.uint8)


def test_grey_stays_as_it_is() -> None:
    np.testing.assert_array_equal(to_levels(drawing()), drawing())
    grey = np.repeat(drawing()[..., np.newaxis], 3, axis=2)
    np.testing.assert_allclose(to_levels(grey), drawing(), atol=0.01)


@pytest.mark.parametrize(
    ("ink", "paper"), [((255, 0, 0), (0, 130, 0)), ((0, 0, 255), (97, 0, 0)), ((90, 90, 0), (80, 80, 110))]
)
def test_colours_of_one_luminance_differ(ink: tuple[int, ...], paper: tuple[int, ...]) -> None:
    picture = coloured(ink, paper)
    luminance = np.asarray(Image.fromarray(picture).convert("L"), int)
    assert np.ptp(luminance) <= 16
    levels = to_levels(picture)
    assert abs(levels[INK].mean() - levels[~INK].mean()) >= 80
    assert levels.min() >= -0.01
    assert levels.max() <= 255.01


def test_light_that_changes_slowly_does_not_choose_the_colours() -> None:
    light = np.linspace(0.3, 1, INK.shape[1])[:, np.newaxis]
    levels = to_levels((coloured((255, 0, 0), (0, 200, 0)) * light).astype(np.uint8))
    edge = np.flatnonzero(np.diff(INK[60].astype(int)))[0]
    assert abs(levels[60, edge] - levels[60, edge + 1]) >= 60


def test_the_margin_of_a_card_is_paper() -> None:
    card = np.zeros((200, 300, 4), np.uint8)
    card[40:160, 50:250, :3] = (250 - drawing())[..., np.newaxis]
    card[40:160, 50:250, 3] = 255
    levels = to_levels(card)
    np.testing.assert_allclose(levels[40:160, 50:250], 250 - drawing(), atol=0.01)
    assert np.ptp(levels[:30]) <= 1
    assert levels[0, 0] == pytest.approx(250, abs=1)


@pytest.mark.parametrize(("level", "sign"), [(20, -1), (240, 1)])
def test_ink_on_nothing_is_where_the_alpha_is(level: int, sign: int) -> None:
    picture = np.full((*INK.shape, 4), level, np.uint8)
    picture[..., 3] = drawing()
    levels = sign * to_levels(picture)
    assert levels[INK].min() > levels[~INK].max() + 200


def test_nothing_at_all_is_blank() -> None:
    with pytest.raises(PictureError, match="all of the picture is clear"):
        to_levels(np.zeros((30, 40, 4), np.uint8))
