"""Shadows are taken out of pictures, and ink is left in."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from mpsmnist.prediction.shadows import brightening, without_shadows, without_soft_edges

INK = np.zeros((140, 140), bool)
INK[30:110, 60:72] = True


@pytest.mark.parametrize(("blur", "most"), [(2.25, 0.05), (4, 0.03)])
def test_a_soft_shadow_goes_and_ink_stays(blur: float, most: float) -> None:
    """Over paper as over ink; the shadow takes away more light than the ink."""
    shadow = np.zeros(INK.shape)
    shadow[:, 66:] = shadow[80:100, 10:] = 1
    light = 1 - 0.7 * gaussian_filter(shadow, blur)
    picture = gaussian_filter(np.where(INK, 80.0, 220.0), 0.7) * light
    levels = without_shadows(picture.astype(np.float32))
    assert confused(picture) > 0.1
    assert confused(levels) < most


def confused(levels: NDArray[np.floating]) -> float:
    """The share of paper, or of ink, on the wrong side of the best threshold."""
    thresholds = np.linspace(levels.min(), levels.max(), 200)
    return min(float(max((levels[~INK] < t).mean(), (levels[INK] >= t).mean())) for t in thresholds)


def test_a_picture_without_shadows_is_left_as_it_is() -> None:
    picture = gaussian_filter(np.where(INK, 80.0, 220.0), 0.7).astype(np.float32)
    levels = without_shadows(picture)
    scale = (levels.max() - levels.min()) / (picture.max() - picture.min())
    np.testing.assert_allclose(levels - levels.min(), scale * (picture - picture.min()), atol=8)


def test_out_of_focus_ink_is_no_shadow() -> None:
    picture = gaussian_filter(np.where(INK, 80.0, 220.0), 3).astype(np.float32)
    levels = without_shadows(picture)
    assert levels[~INK].mean() - levels[35:105, 65:67].mean() > 80


def photo(shadow_blur: float, ink_blur: float) -> NDArray[np.float32]:
    """A stroke, and fingers whose shadow crosses it."""
    shadow = np.zeros(INK.shape)
    shadow[:, 100:] = shadow[40:55, 30:] = shadow[80:95, 20:] = 1
    light = 1 - 0.6 * gaussian_filter(shadow, shadow_blur)
    return (gaussian_filter(np.where(INK, 80.0, 220.0), ink_blur) * light).astype(np.float32)


@pytest.mark.parametrize("blur", [2.0, 3.0])
def test_a_shadow_with_sharp_edges_goes_with_all_soft_edges(blur: float) -> None:
    picture = photo(blur, 0.7)
    levels = without_soft_edges(picture)
    assert levels is not None
    assert confused(picture) > 0.1
    assert confused(levels) < 0.02


@pytest.mark.parametrize("scale", [1, 0.5])
@pytest.mark.parametrize("step", [1, 2])
def test_ink_in_focus_has_no_soft_edges(scale: float, step: int) -> None:
    """However strong it is, dark on light or light on dark, of many pixels or few."""
    ink = gaussian_filter(np.where(INK[::step, ::step], 230.0, 0.0), 0.7) * scale
    for picture in (ink, 255 - ink):
        assert without_soft_edges(picture.astype(np.float32)) is None


@pytest.mark.parametrize("pitch", [15, 20])
def test_squares_are_as_even_as_their_paper(pitch: int) -> None:
    """Neither all of their slopes are taken for noise, nor some."""
    squares = np.zeros(INK.shape)
    for first in range(3):
        squares[first::pitch] = squares[:, first::pitch] = 1
    noise = np.random.default_rng(0).normal(0, 1.5, INK.shape)
    picture = gaussian_filter(np.where(INK, 60.0, 220.0 - 60 * squares) + noise, 0.8)
    levels = without_shadows(picture.astype(np.float32))
    paper = gaussian_filter(squares, 0.8) < 0.05
    assert levels[paper & ~INK].std() < 6
    assert levels[paper & ~INK].mean() - levels[(squares > 0) & ~INK].mean() > 20


def test_light_alone_leaves_even_paper() -> None:
    light = np.linspace(60, 220, 90, dtype=np.float32)[:, np.newaxis] * np.ones((90, 70), np.float32)
    assert np.ptp(without_shadows(light)) <= 0.01


def test_noise_is_as_much_brighter_as_is_said() -> None:
    light = np.linspace(40, 220, 140)[:, np.newaxis]
    levels = (light + gaussian_filter(INK * -30.0, 0.7)).astype(np.float32)
    factor = brightening(levels)
    assert factor[20, 20] > 1.5
    assert factor[130, 20] < 1
    step = float(np.ptp(without_shadows(levels)[30:110, 55:78]))
    assert step == pytest.approx(30 * float(factor[30:110, 55:78].mean()), rel=0.5)
