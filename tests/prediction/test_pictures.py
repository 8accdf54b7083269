"""Pictures become images like MNIST's."""

from __future__ import annotations

import numpy as np
import pytest

from mpsmnist.prediction.pictures import BOX, CENTRE, prepare
from mpsmnist.prediction.reading import PictureError
from support.examples import discs
from support.pictures import Grey, drawing


def centre_of_mass(pixels: Grey) -> tuple[float, float]:
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    return float((rows * pixels).sum() / pixels.sum()), float((columns * pixels).sum() / pixels.sum())


def ink_size(pixels: Grey) -> tuple[int, int]:
    rows, columns = np.nonzero(pixels)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_a_picture_as_mnists_is_taken_as_it_is() -> None:
    image = discs(1)[0][0]
    digit = prepare(image)
    np.testing.assert_array_equal(digit.pixels, image)
    assert not digit.inverted


def test_a_small_picture_on_grey_paper_is_not() -> None:
    image = discs(1)[0][0] // 2 + 100
    digit = prepare(image)
    assert (digit.pixels[0, 0], digit.inverted) == (0, False)
    assert digit.pixels.max() == 255


@pytest.mark.parametrize("shape", [(120, 200), (100, 110), (500, 130)])
def test_a_drawing_is_fitted_and_centred_as_mnists_digits_are(shape: tuple[int, int]) -> None:
    digit = prepare(drawing(*shape))
    assert digit.pixels.shape == (28, 28)
    assert digit.pixels.dtype == np.uint8
    assert digit.pixels.max() == 255
    assert max(ink_size(digit.pixels)) == BOX
    row, column = centre_of_mass(digit.pixels)
    assert abs(row - CENTRE) <= 0.5
    assert abs(column - CENTRE) <= 0.5


def test_proportions_are_kept() -> None:
    bar = np.zeros((300, 300), np.uint8)
    bar[100:200, 140:160] = 255
    assert ink_size(prepare(bar).pixels) == (20, 4)
    assert ink_size(prepare(bar.T).pixels) == (4, 20)


def test_one_dot_fills_the_box() -> None:
    dot = np.zeros((50, 50), np.uint8)
    dot[49, 0] = 100
    assert ink_size(prepare(dot).pixels) == (20, 20)


def test_place_size_ink_and_paper_do_not_matter() -> None:
    """The same stroke elsewhere, larger, fainter, dark on light, on grey paper and with grain."""
    original = drawing()
    expected = prepare(original).pixels.astype(int)
    grain = np.random.default_rng(0).integers(0, 12, original.shape).astype(np.uint8)
    variants = {
        "moved": np.roll(original, (15, 40), (0, 1)),
        "twice as large": original.repeat(2, 0).repeat(2, 1),
        "fainter": original // 2,
        "dark on light": 255 - original,
        "on grey paper": 200 - original // 2,
        "with grain": original + grain,
    }
    for name, picture in variants.items():
        difference = abs(prepare(picture).pixels.astype(int) - expected)
        assert difference.max() <= 20, name  # the noise floor cuts a tenth of the ink; resampling rounds


def test_dark_on_light_is_seen_at_the_border() -> None:
    assert prepare(255 - drawing()).inverted
    assert not prepare(drawing()).inverted


def test_invert_overrules_the_border() -> None:
    """A frame fools the look at the border; only then do the two differ."""
    framed = np.pad(255 - drawing(), 3, constant_values=0)
    assert not prepare(framed).inverted
    assert prepare(255 - drawing(), invert=True).inverted
    with pytest.raises(PictureError, match="blank"):
        prepare(255 - drawing(), invert=False)  # nothing is lighter than the paper


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(28, 28), (40, 50), (1, 1)])
def test_a_blank_picture_is_refused(shape: tuple[int, int], level: int) -> None:
    blank = np.full(shape, level, np.uint8)
    blank[0, 0] ^= 1
    with pytest.raises(PictureError, match="blank"):
        prepare(blank)


def test_dark_ink_on_nothing_is_on_white_paper() -> None:
    clear = np.zeros((120, 200, 4), np.uint8)
    clear[..., 3] = drawing()
    on_white, on_black = prepare(clear), prepare(drawing())
    assert on_white.inverted
    np.testing.assert_array_equal(on_white.pixels, on_black.pixels)


def test_light_ink_on_nothing_is_on_a_blackboard() -> None:
    clear = np.full((120, 200, 4), 255, np.uint8)
    clear[..., 3] = drawing()
    light, on_black = prepare(clear), prepare(drawing())
    assert not light.inverted
    np.testing.assert_array_equal(light.pixels, on_black.pixels)


def test_colour_is_read_by_its_lightness() -> None:
    colours = np.stack([drawing()] * 3, axis=-1)
    np.testing.assert_array_equal(prepare(colours).pixels, prepare(drawing()).pixels)
