"""Pictures become images like MNIST's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from mpsmnist.prediction.pictures import BOX, CENTRE, prepare, prepare_all
from mpsmnist.prediction.reading import PictureError
from support import photo_kinds
from support.examples import discs
from support.handwriting import random_of
from support.ink import Ink, sources
from support.papers import Picture, camera
from support.photo_kinds import hand_shadow, out_of_focus, written
from support.pictures import Grey, drawing


def centre_of_mass(pixels: Grey) -> tuple[float, float]:
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    return float((rows * pixels).sum() / pixels.sum()), float((columns * pixels).sum() / pixels.sum())


def ink_size(pixels: Grey) -> tuple[int, int]:
    rows, columns = np.nonzero(pixels)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def as_mnists() -> Grey:
    """A 28x28 picture with the contrast, the box and the centre of MNIST's, and an odd level."""
    image = prepare(drawing()).pixels
    image[14, 14] = 201
    return image


def test_a_picture_as_mnists_is_taken_as_it_is() -> None:
    image = as_mnists()
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


@pytest.mark.parametrize("change", ["shifted", "smaller", "faint", "dark on light"])
def test_a_small_picture_that_is_not_as_mnists_is_prepared(change: str) -> None:
    image = as_mnists()
    small = np.asarray(Image.fromarray(image[4:24, 4:24]).resize((11, 11)))
    changed = {
        "shifted": np.roll(image, 4, 0),
        "smaller": np.pad(small, ((3, 14), (12, 5))),
        "faint": image // 13,
        "dark on light": 255 - image,
    }[change]
    pixels = prepare(changed).pixels
    assert pixels.max() == 255
    assert max(ink_size(pixels)) in (BOX - 1, BOX)
    assert np.abs(np.subtract(centre_of_mass(pixels), CENTRE)).max() <= 0.6
    assert abs(pixels.astype(int) - image).mean() <= 12


def framed() -> Grey:
    return np.pad(255 - drawing(), 3, constant_values=0)


def on_a_table() -> Grey:
    rows, columns = np.mgrid[:280, :280]
    paper = (abs(rows - 140 + 0.1 * (columns - 140)) < 90) & (abs(columns - 140) < 120)
    picture = np.where(paper, 220, 60).astype(np.uint8)
    picture[80:200, 40:240] = np.minimum(picture[80:200, 40:240], 255 - drawing())
    return picture


def in_a_vignette() -> Grey:
    rows, columns = np.mgrid[:120, :200]
    light = 1 - 0.6 * np.hypot((rows - 60) / 120, (columns - 100) / 200)
    return ((255 - drawing()) * light).astype(np.uint8)


@pytest.mark.parametrize("make", [drawing, framed, on_a_table, in_a_vignette])
@pytest.mark.parametrize("negative", [False, True])
def test_what_is_ink_is_judged_by_evidence(make: Callable[[], Grey], negative: bool) -> None:
    """Neither the outermost pixels nor the larger area tell; and being told changes no other step."""
    picture = 255 - make() if negative else make()
    digit = prepare(picture)
    assert digit.inverted == ((make is not drawing) != negative)
    np.testing.assert_array_equal(prepare(picture, invert=digit.inverted).pixels, digit.pixels)
    assert abs(digit.pixels.astype(int) - prepare(drawing()).pixels).mean() <= 10


def apart(pixels: Grey, expected: Grey) -> float:
    """The mean difference; a centre of mass that is halfway between two columns may fall to either."""
    return min(
        float(abs(np.roll(pixels, columns, 1) - expected.astype(int)).mean()) for columns in (-1, 0, 1)
    )


def apart_anywhere(pixels: Grey, expected: Grey) -> float:
    """The same, but in rows, too."""
    return min(apart(np.roll(pixels, rows, 0), expected) for rows in (-1, 0, 1))


def test_rules_and_specks_are_no_ink() -> None:
    picture = np.full((280, 280), 240, np.uint8)
    picture[80:200, 40:240] = np.minimum(picture[80:200, 40:240], 255 - drawing())
    plain = prepare(picture).pixels
    picture[20::40] = picture[21::40] = 60
    picture[250:253, 30:33] = 0
    assert apart(prepare(picture).pixels, plain) <= 6


@pytest.mark.parametrize("width", [3, 6, 10])
def test_a_frame_does_not_hide_how_wide_the_strokes_are(width: int) -> None:
    """A pale bold 7, whose edges are few beside those of a dark frame."""
    rows, columns = np.mgrid[:280, :280]
    bar = (abs(rows - 90) < 20) & (abs(columns - 140) < 60)
    stem = (abs(columns - 190 + 0.4 * (rows - 90)) < 12) & (abs(rows - 160) < 70)
    picture = np.where(bar | stem, 160, 220).astype(np.uint8)
    alone = prepare(picture).pixels.astype(int)
    assert abs(prepare(np.pad(picture, width)).pixels - alone).mean() <= 6


def paper_with_a_stroke() -> Grey:
    picture = np.full((280, 280), 240, np.uint8)
    picture[80:200, 40:240] = np.minimum(picture[80:200, 40:240], 255 - drawing())
    return picture


@pytest.mark.parametrize("blur", [3, 5])
def test_the_shadows_of_fingers_are_no_ink(blur: float) -> None:
    picture = paper_with_a_stroke()
    shadow = np.zeros(picture.shape)
    shadow[:, 220:] = shadow[70:100, 60:] = shadow[150:180, 40:] = shadow[230:255, 80:] = 1
    shaded = (picture * (1 - 0.65 * gaussian_filter(shadow, blur))).astype(np.uint8)
    assert apart(prepare(shaded).pixels, prepare(picture).pixels) <= 8


def test_fingers_beside_a_3_are_no_strokes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they may look more like ink on paper than the digit alone."""

    def prepared() -> Grey:
        rng = random_of("hand_shadow", 193, seed=450)
        (pen,) = sources((0.07,))
        return prepare(hand_shadow(pen(3, rng), rng)).pixels

    shaded = prepared()
    monkeypatch.setattr(photo_kinds, "lit", lambda surface, light: surface)
    assert apart_anywhere(shaded, prepared()) <= 16


def test_a_digit_out_of_focus_has_no_sharp_edges_and_is_whole() -> None:
    """What edges are left without the soft ones are less than it is."""
    (pen,) = sources((0.1,))

    def prepared(make: Callable[[Ink, np.random.Generator], Picture]) -> Grey:
        rng = np.random.default_rng(2)
        return prepare(make(pen(2, rng), rng)).pixels

    in_focus = prepared(lambda ink, rng: camera(written(ink, rng), rng))
    assert apart_anywhere(prepared(out_of_focus), in_focus) <= 16


@pytest.mark.parametrize("pitch", [14, 22])
@pytest.mark.parametrize("squared", [False, True])
def test_a_thin_digit_on_dark_rules_is_whole(pitch: int, squared: bool) -> None:
    """It crosses many, and some lie along its strokes."""
    rows, columns = np.mgrid[:240, :200]
    ink = abs(np.hypot((rows - 120) / 1.5, columns - 100) - 40) < 1.5
    rules = (rows % pitch < 3) | ((columns % pitch < 3) & squared)
    noise = np.random.default_rng(0).normal(0, 2, ink.shape)
    blank = np.where(ink, 40.0, 230.0)
    ruled = np.where(ink, 40.0, np.where(rules, 150.0, 230.0))
    digits = [prepare(gaussian_filter(levels + noise, 0.8).astype(np.uint8)) for levels in (blank, ruled)]
    assert apart_anywhere(digits[1].pixels, digits[0].pixels) <= 8


def test_the_holes_of_a_punch_are_no_ink() -> None:
    picture = paper_with_a_stroke()
    rows, columns = np.mgrid[:280, :280]
    punched = picture.copy()
    for row in (50, 110, 170, 230):
        punched[np.hypot(rows - row, columns - 82) < 9] = 20
    assert abs(prepare(punched).pixels.astype(int) - prepare(picture).pixels).mean() <= 6
    assert len(prepare_all(punched)) == 1


def test_a_digit_may_fill_its_canvas() -> None:
    stroke = drawing()
    rows, columns = np.nonzero(stroke)
    tight = stroke[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    for picture in (tight, 255 - tight):
        assert abs(prepare(picture).pixels.astype(int) - prepare(stroke).pixels).mean() <= 8


@pytest.mark.parametrize("negative", [False, True])
def test_a_bold_digit_may_cover_most_of_its_canvas(negative: bool) -> None:
    """A printed 5, as large as its canvas: the paper between its strokes ends at the edges."""
    rows, columns = np.mgrid[:240, :160]
    bowl = (abs(np.hypot(rows - 160, columns - 80) - 58) < 22) & ((columns > 50) | (abs(rows - 150) > 40))
    five = np.where(bowl, 255, 0).astype(np.uint8)
    five[:40, 20:145] = five[:125, 20:60] = 255
    digit = prepare(255 - five if negative else five)
    assert digit.inverted == negative
    assert abs(digit.pixels.astype(int) - prepare(np.pad(five, 100)).pixels).mean() <= 8


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("size", [1, 10])
def test_the_paper_within_a_bold_0_is_no_ink(negative: bool, size: int) -> None:
    """At the edge of its canvas; paper that ends not far around what would be ink is none."""
    rows, columns = np.mgrid[-14:14, -14:14] + 0.5
    columns -= 7.5
    outside, inside = np.hypot(rows / 10, columns / 7), np.hypot(rows / 7, columns / 2.5)
    zero = np.where((outside < 1) & (inside > 1), 255, 0).astype(np.uint8).repeat(size, 0).repeat(size, 1)
    digit = prepare(255 - zero if negative else zero)
    assert digit.inverted == negative
    assert digit.pixels[14, 14] == 0


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("width", [12, 24, 48])
def test_strokes_along_the_edge_of_a_canvas_are_ink(negative: bool, width: int) -> None:
    """A 7 whose bar is at the upper edge, and the upper half of whose stem is at the right one."""
    seven = np.zeros((280, 280), np.uint8)
    seven[:width, 100:] = seven[:140, -width:] = seven[140:240, -width - 6 : -6] = 255
    digit = prepare(255 - seven if negative else seven)
    assert digit.inverted == negative
    inside = np.pad(seven, ((30, 0), (0, 30)))
    assert abs(digit.pixels.astype(int) - prepare(inside).pixels).mean() <= 6


@pytest.mark.parametrize("negative", [False, True])
def test_hair_lines_in_few_pixels_are_ink(negative: bool) -> None:
    """A printed 4 in 28x28 pixels: its stem is bold, and its hair lines are narrower than a pixel."""
    four = np.zeros((28, 28), np.uint8)
    for step in range(7):
        four[8 + step, 14 - step] = 80
    four[14, 8:17] = 80
    four[8:19, 15] = 255
    pixels = prepare(255 - four if negative else four).pixels
    assert pixels.any(axis=1).sum() == BOX
    rows, columns = np.nonzero(pixels > 128)
    assert np.ptp(rows) + 1 >= BOX - 1  # the tip of a hair line may be the highest, and soft
    assert np.ptp(columns) + 1 >= 14
    assert pixels.max(axis=1)[rows.min() : rows.max() + 1].min() > 128


def noisy(levels: NDArray[np.float64], deviation: float) -> Grey:
    noise = np.random.default_rng(0).normal(0, deviation, levels.shape)
    return (levels + noise).clip(0, 255).round().astype(np.uint8)


ROWS, COLUMNS = np.mgrid[:280, :280] / 280 - 0.5


@pytest.mark.parametrize(
    "blank",
    [
        noisy(np.full((280, 280), 200.0), 12),
        noisy(np.full((28, 28), 100.0), 12),
        noisy(np.full((600, 800, 3), 200.0), 8),
        noisy(200 + 4 * gaussian_filter(noisy(np.full((280, 280), 128.0), 12) - 128.0, 2), 1),
        noisy(220 * (0.6 + 0.4 * ROWS), 4),
        noisy(220 - 280 * (ROWS**2 + COLUMNS**2), 4),
        noisy(220 - 100 / (1 + np.exp(-30 * (ROWS + COLUMNS / 3))), 4),
    ],
    ids=["noise", "small noise", "colour noise", "grain", "gradient", "vignette", "edge of a shadow"],
)
def test_noise_light_and_shadow_are_blank_paper(blank: Grey) -> None:
    with pytest.raises(PictureError, match="no digit is found"):
        prepare(blank)
    faint = blank.astype(float)
    rows, columns = (slice(side // 4, side // 4 + side // 2) for side in blank.shape[:2])
    faint[rows, columns.start : columns.start + (columns.stop - columns.start) // 6] -= 80
    assert ink_size(prepare(faint.clip(0, 255).astype(np.uint8)).pixels)[0] == BOX


def test_a_few_levels_are_ink_where_nothing_else_is() -> None:
    faint = np.where(drawing() > 0, 195, 205).astype(np.uint8)
    assert abs(prepare(faint).pixels.astype(int) - prepare(drawing()).pixels).mean() <= 4


def test_a_drawing_grows_without_jumps() -> None:
    """As a page sees it while a 7 is drawn on its canvas, a pen's width at a time."""
    canvas = np.zeros((280, 280), np.uint8)
    before = None
    for column in range(80, 200, 8):
        canvas[70:88, column : column + 18] = 255
        after = prepare(canvas).pixels.astype(int)
        if before is not None and column > 120:
            assert abs(after - before).mean() <= 16
        before = after


def test_digits_come_in_reading_order() -> None:
    """A 7 and a 1, and below them a 5 whose bar does not touch it."""
    seven, one, five = (
        np.zeros((60, 40), np.uint8),
        np.zeros((60, 40), np.uint8),
        np.zeros((60, 40), np.uint8),
    )
    seven[:8] = seven[:, 32:] = one[:, 16:24] = 255
    five[:7, :38] = five[12:32, :8] = five[26:34] = five[26:60, 32:] = five[52:] = 255
    page = np.zeros((280, 280), np.uint8)
    page[40:100, 150:190], page[30:90, 60:100], page[150:210, 100:140] = one, seven, five
    for picture in (page, 255 - page):
        digits = prepare_all(picture)
        expected = [prepare(np.pad(digit, 20)).pixels for digit in (seven, one, five)]
        assert len(digits) == 3
        for digit, alone in zip(digits, expected, strict=True):
            assert abs(digit.pixels.astype(int) - alone).mean() <= 12


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(28, 28), (40, 50), (1, 1)])
def test_a_blank_picture_is_refused(shape: tuple[int, int], level: int) -> None:
    blank = np.full(shape, level, np.uint8)
    blank[0, 0] ^= 1
    with pytest.raises(PictureError, match="no digit is found"):
        prepare(blank)


def test_dark_ink_on_nothing_is_on_white_paper() -> None:
    clear = np.zeros((120, 200, 4), np.uint8)
    clear[..., 3] = drawing()
    on_white, on_black = prepare(clear), prepare(drawing())
    assert on_white.inverted
    assert abs(on_white.pixels.astype(int) - on_black.pixels).mean() <= 1


def test_light_ink_on_nothing_is_on_a_blackboard() -> None:
    clear = np.full((120, 200, 4), 255, np.uint8)
    clear[..., 3] = drawing()
    light, on_black = prepare(clear), prepare(drawing())
    assert not light.inverted
    np.testing.assert_array_equal(light.pixels, on_black.pixels)


def test_colour_is_read_by_its_lightness() -> None:
    colours = np.stack([drawing()] * 3, axis=-1)
    np.testing.assert_array_equal(prepare(colours).pixels, prepare(drawing()).pixels)


@pytest.mark.parametrize("lean", [0.0, 0.05])
def test_a_line_from_top_to_bottom_is_read_as_a_1_or_a_fold(lean: float) -> None:
    rows, columns = np.mgrid[:200, :200]
    picture = np.where(abs(columns - 100 + lean * (rows - 100)) < 2, 40, 235).astype(np.uint8)
    assert prepare(picture).doubt == "a line from edge to edge: a fold, or a 1"
    assert prepare(picture[:, 85:115]).doubt is None  # somebody has cut out a 1
    assert prepare(np.pad(picture, 20, constant_values=235)).doubt is None


def test_a_dotted_stroke_is_an_i() -> None:
    rows, columns = np.mgrid[:200, :200]
    stem, dot = (abs(columns - 100) < 7) & (abs(rows - 115) < 50), np.hypot(columns - 100, rows - 45) < 9
    assert (
        prepare(np.where(stem | dot, 40, 235).astype(np.uint8)).doubt == "a dot above a stroke: an i or a j"
    )
    assert prepare(np.where(stem, 40, 235).astype(np.uint8)).doubt is None


def test_a_stroke_that_glare_fades_is_one_digit() -> None:
    rows, columns = np.mgrid[:200, :200]
    strength = 1 - 0.7 * np.exp(-(((rows - 100) / 18) ** 2))
    stroke = (abs(columns - 100) < 6) & (abs(rows - 100) < 80)
    assert len(prepare_all((235 - 195 * strength * stroke).astype(np.uint8))) == 1


def test_a_finger_that_reaches_into_the_picture_is_hardly_like_ink() -> None:
    rows, columns = np.mgrid[:200, :200]
    paper = 200 + 15 * np.sin(rows / 9) * np.sin(columns / 11)
    finger = np.hypot((rows - 200) / 2, columns - 90) < 28
    picture = np.where(finger, 120, paper).astype(np.uint8)
    assert prepare(picture).doubt == "hardly like ink on paper"
    assert prepare(np.where(drawing(200, 200) > 128, 40, paper).astype(np.uint8)).doubt is None
