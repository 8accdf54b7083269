"""A sheet of paper on a table is looked for, and what is on it is looked at alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mpsmnist.prediction.pictures import PictureError, prepare
from mpsmnist.prediction.sheets import cut_out_sheet
from support.pictures import drawing

Grey = NDArray[np.uint8]
SHAPE = 400, 600
GRAIN = np.random.default_rng(0).normal(0, 1, (SHAPE[0], 6)).repeat(100, axis=1)


def on_table(
    sheet: Grey, angle: float, table: int, grain: float = 8, offset: tuple[int, int] = (0, 0)
) -> Grey:
    """The sheet, turned by degrees, in the middle of a table but for an offset."""
    picture = Image.fromarray((table + 8 * GRAIN).clip(0, 255).astype(np.uint8))
    cover = Image.new("L", sheet.shape[::-1], 255).rotate(angle, expand=True)
    turned = Image.fromarray(sheet).rotate(angle, expand=True)
    left, top = ((picture.size[axis] - turned.size[axis]) // 2 + offset[axis] for axis in (0, 1))
    picture.paste(turned, (left, top), cover)
    return np.asarray(picture)


def paper(height: int, width: int) -> Grey:
    sheet = np.full((height, width), 235, np.uint8)
    digit = 255 - drawing(60, 100)
    top, left = (height - 60) // 2, (width - 100) // 2
    sheet[top : top + 60, left : left + 100] = np.minimum(sheet[top : top + 60, left : left + 100], digit)
    return sheet


@pytest.mark.parametrize("table", [30, 110, 160])
@pytest.mark.parametrize("angle", [0, 8, -20, 30])
def test_the_digit_is_read_upright_and_not_the_sheet(angle: float, table: int) -> None:
    sheet = paper(160, 220)
    found = prepare(on_table(sheet, angle, table))
    assert found.inverted
    assert abs(found.pixels.astype(int) - prepare(sheet).pixels).mean() <= 8


@pytest.mark.parametrize("angle", [0, 8, -20, 30])
@pytest.mark.parametrize("squared", [False, True])
def test_rules_of_a_turned_sheet_are_no_ink(angle: float, squared: bool) -> None:
    """Nor do they cut it in pieces."""
    sheet = paper(160, 220)
    expected = prepare(sheet).pixels.astype(int)
    for rules in (sheet[10::24], sheet[:, 12::24]) if squared else (sheet[10::24],):
        np.minimum(rules, 130, out=rules)
    assert abs(prepare(on_table(sheet, angle, 60)).pixels - expected).mean() <= 8


def test_a_pale_sheet_is_one_across_dark_rules() -> None:
    sheet = paper(160, 220)
    for row in range(20, 160, 36):
        sheet[row : row + 5] = 60
    cut = cut_out_sheet(on_table(sheet, 0, 60))
    assert cut is not None
    assert min(cut.shape) > 135


def test_ink_that_reaches_over_the_edge_stays() -> None:
    sheet = np.full((160, 220), 235, np.uint8)
    sheet[60:, 100:112] = 30
    cut = cut_out_sheet(on_table(sheet, 0, 30))
    assert cut is not None
    assert (cut[60:140] < 60).any(axis=1).all()


def test_a_sheet_that_reaches_over_one_side_is_one() -> None:
    assert cut_out_sheet(on_table(paper(300, 220), 0, 60, offset=(0, 120))) is not None


def test_an_empty_sheet_is_empty() -> None:
    with pytest.raises(PictureError):
        prepare(on_table(np.full((160, 220), 235, np.uint8), 8, 60))


def test_what_is_cut_out_has_no_table_in_it() -> None:
    cut = cut_out_sheet(on_table(np.full((160, 220), 235, np.uint8), 12, 60))
    assert cut is not None
    assert cut.min() > 200
    assert (np.divide(cut.shape, (160, 220)) > 0.85).all()
    assert (np.divide(cut.shape, (160, 220)) < 1).all()


def drawn(kind: str) -> Grey:
    image = Image.new("L", (400, 400))
    draw = ImageDraw.Draw(image)
    match kind:
        case "bold 0":
            draw.ellipse((120, 80, 280, 320), 255)
            draw.ellipse((180, 150, 220, 250), 0)
        case "bold 8":
            for top in (40, 200):
                draw.ellipse((120, top, 280, top + 160), 255)
                draw.ellipse((185, top + 65, 215, top + 95), 0)
        case "bold 1":
            draw.rectangle((170, 60, 230, 340), 255)
        case "thin frame":
            draw.rectangle((60, 60, 340, 340), outline=255, width=6)
        case "light from the left":
            image = Image.fromarray(np.tile(np.linspace(250, 40, 400).astype(np.uint8), (400, 1)))
        case "all paper":
            image = Image.new("L", (400, 400), 235)
    return np.asarray(image)


@pytest.mark.parametrize(
    "kind", ["bold 0", "bold 8", "bold 1", "thin frame", "light from the left", "all paper"]
)
def test_what_is_no_sheet_is_none(kind: str) -> None:
    assert cut_out_sheet(drawn(kind)) is None


@pytest.mark.parametrize("angle", [-20, 20])
def test_a_rule_along_its_edge_is_not_drawn_out(angle: int) -> None:
    """What is left of one there would be a line of dots from top to bottom, as rules are and a 1 may be."""
    sheet = np.full((160, 220), 235, np.uint8)
    sheet[:, 9:12] = sheet[:, -12:-9] = 60
    cut = cut_out_sheet(on_table(sheet, angle, 20))
    assert cut is not None
    ends = np.diff(cut[:, [0, -1]] < 150, axis=0).sum(axis=0)
    assert ends.max() <= 2


def test_a_sheet_may_have_a_bold_digit() -> None:
    sheet = np.full((160, 160), 235, np.uint8)
    image = Image.fromarray(sheet)
    draw = ImageDraw.Draw(image)
    draw.ellipse((45, 25, 115, 135), 30)
    draw.ellipse((75, 65, 85, 95), 235)
    assert 0.22 < np.mean(np.asarray(image) == 30) < 0.26
    assert cut_out_sheet(on_table(np.asarray(image), 8, 60)) is not None


def test_thick_rules_of_a_small_sheet_are_no_ink() -> None:
    sheet = paper(160, 220)
    expected = prepare(sheet).pixels.astype(int)
    for row in (62, 96):
        sheet[row : row + 5] = np.minimum(sheet[row : row + 5], 90)
    assert abs(prepare(on_table(sheet, 0, 60)).pixels - expected).mean() <= 8
