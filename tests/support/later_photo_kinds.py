"""More conditions of photos, made after the first version of the preparation, which had not seen them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from support.ink import Ink
from support.papers import (
    Picture,
    Shape,
    Surface,
    camera,
    clouds,
    gradient,
    line,
    over,
    place,
    polygon,
    quantize,
    sheet,
    somewhere,
)
from support.photo_kinds import SHAPE, Random, lit, pen_colour, written

Points = NDArray[np.float64]


def thumb_in_the_corner(ink: Ink, rng: Random) -> Picture:
    """The thumb that holds the page, skin-coloured, out of focus."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    y, x = rng.choice([-10, 330]), rng.uniform(10, 310)
    thumb = ((rows - y) / rng.uniform(60, 85)) ** 2 + ((columns - x) / rng.uniform(28, 40)) ** 2 < 1
    cover = ndimage.gaussian_filter(thumb.astype(np.float32), 2)
    skin = [(0.85, 0.62, 0.52), (0.55, 0.36, 0.27), (0.35, 0.22, 0.16)][rng.integers(3)]
    return camera(over(written(ink, rng), cover, skin), rng)


def moved_camera(ink: Ink, rng: Random) -> Picture:
    """Blurred along a line."""
    length = int(rng.integers(7, 13))
    surface = ndimage.uniform_filter1d(written(ink, rng), length, axis=int(rng.integers(2)))
    return camera(surface, rng)


def sheet_on_a_table(ink: Ink, rng: Random) -> Picture:
    """A sheet that takes a tenth to a half of the picture, turned, on a table of any colour, with a grain."""
    shape = (640, 480)
    table = _table(shape, rng)
    sides, angle, middle = _size_and_place(shape, rng, 0.25)
    paper = polygon(shape, _corners(shape, sides, angle, middle), 0.8)
    digit = place(ink, shape, rng.uniform(0.3, 0.7) * sides.min(), (middle[1] / 640, middle[0] / 480))
    surface = over(over(table, paper, sheet(shape, rng)), digit, pen_colour(rng))
    return camera(lit(surface, gradient(shape, rng, 0.8)), rng)


def ruled_sheet_on_a_table(ink: Ink, rng: Random) -> Picture:
    """The same, ruled or squared, by up to 20 degrees; what is on the sheet is turned as the sheet is."""
    shape = (640, 480)
    table = _table(shape, rng)
    sides, angle, middle = _size_and_place(shape, rng, np.radians(20))
    pitch, width, squared = rng.uniform(20, 50), rng.uniform(1, 2.5), rng.random() < 0.5
    page = np.zeros(shape, np.float32)
    for y in np.arange(rng.uniform(0, pitch), shape[0], pitch):
        page = np.maximum(page, line(shape, (0, y), (shape[1], y), width))
    for x in np.arange(rng.uniform(0, pitch), shape[1], pitch) if squared else ():
        page = np.maximum(page, line(shape, (x, 0), (x, shape[0]), width))
    side = rng.uniform(0.35, 0.7) * sides.min()
    paper = over(sheet(shape, rng), page, [(0.6, 0.7, 0.86), (0.4, 0.45, 0.6)][rng.integers(2)])
    written = over(paper, place(ink, shape, side), pen_colour(rng))
    offset = np.divide(shape, 2) - _turn(angle) @ middle[::-1]
    turned = np.stack(
        [
            ndimage.affine_transform(written[..., c], _turn(angle), offset, order=1, mode="nearest")
            for c in range(3)
        ],
        axis=-1,
    )
    surface = over(table, polygon(shape, _corners(shape, sides, angle, middle), 0.8), turned)
    return camera(lit(surface, gradient(shape, rng, 0.8)), rng)


def _table(shape: Shape, rng: Random) -> Surface:
    """Of dark, middling or light wood."""
    table = sheet(shape, rng, [(0.22, 0.14, 0.08), (0.43, 0.29, 0.18), (0.7, 0.58, 0.42)][rng.integers(3)])
    grain = clouds(shape, rng, 3) * clouds((shape[0], 2), rng, 40).mean(axis=1, keepdims=True)
    table *= 1 + rng.uniform(0, 0.25) * grain[..., None]
    return table.clip(0, 1)


def _size_and_place(shape: Shape, rng: Random, most: float) -> tuple[Points, float, Points]:
    """The sides of a sheet, (2,), the angle that it is turned by, in radians, and its middle (x, y)."""
    area, ratio = rng.uniform(0.1, 0.5) * shape[0] * shape[1], rng.uniform(1, 1.5)
    sides = np.array([np.sqrt(area / ratio), np.sqrt(area * ratio)]).clip(None, (430, 550))
    angle = rng.uniform(-most, most)
    return sides, angle, np.array([240, 320]) + rng.uniform(-25, 25, 2)


def _corners(shape: Shape, sides: Points, angle: float, middle: Points) -> list[tuple[float, float]]:
    """Of a turned rectangle, in shares of width and height."""
    corners = middle + (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * sides / 2) @ _turn(angle).T
    return [(x / shape[1], y / shape[0]) for x, y in corners]


def _turn(angle: float) -> Points:
    """The matrix that turns points (x, y) clockwise, as y points down, and (y, x) back."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def envelope(ink: Ink, rng: Random) -> Picture:
    """Brown packing paper with its fibres."""
    fibres = ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), (0.6, 5)) * 0.12
    paper = sheet(SHAPE, rng, (0.66, 0.5, 0.33), 0.02) * (1 + fibres[..., None]).astype(np.float32)
    return camera(lit(written(ink, rng, paper=paper), gradient(SHAPE, rng, 0.7)), rng)


def folded(ink: Ink, rng: Random) -> Picture:
    """Folded twice: each quarter has its own light, and the folds a bright and a dark side."""
    light = np.ones(SHAPE, np.float32)
    for axis in (0, 1):
        fold = int(rng.integers(60, 260))
        half = light[fold:] if axis == 0 else light[:, fold:]
        half *= rng.uniform(0.75, 1)
        ridge = (slice(fold - 2, fold + 1), slice(None))
        light[ridge if axis == 0 else ridge[::-1]] *= rng.uniform(0.75, 1.1)
    return camera(lit(written(ink, rng), ndimage.gaussian_filter(light, 1)), rng)


def stained(ink: Ink, rng: Random) -> Picture:
    """The ring of a cup of coffee, pale."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    y, x = rng.uniform(60, 260, 2)
    away = np.hypot(rows - y, columns - x) + 2 * clouds(SHAPE, rng, 20)
    radius = rng.uniform(70, 110)
    ring = np.exp(-(((away - radius) / 4) ** 2)) * 0.35 + (away < radius) * 0.08
    paper = over(sheet(SHAPE, rng), ring.astype(np.float32), (0.5, 0.33, 0.18))
    return camera(written(ink, rng, paper=paper), rng)


def dotted_paper(ink: Ink, rng: Random) -> Picture:
    """A grid of small grey dots."""
    pitch = int(rng.integers(18, 40))
    grid = np.zeros(SHAPE, np.float32)
    grid[rng.integers(pitch) :: pitch, rng.integers(pitch) :: pitch] = 1
    dots = (ndimage.gaussian_filter(grid, 1) * 9).clip(0, 1)
    return camera(written(ink, rng, paper=over(sheet(SHAPE, rng), dots, 0.55)), rng)


def sticky_note(ink: Ink, rng: Random) -> Picture:
    """A yellow, pink or green note on a white desk or a dark one, with its shadow."""
    desk = sheet(SHAPE, rng, [0.85, 0.25][rng.integers(2)])
    tilt = rng.uniform(-0.05, 0.05)
    corners = [(0.12 + tilt, 0.12), (0.88, 0.12 + tilt), (0.88 - tilt, 0.88), (0.12, 0.88 - tilt)]
    shadow = polygon(SHAPE, [(x + 0.02, y + 0.03) for x, y in corners], 5)
    desk = lit(desk, 1 - 0.4 * shadow)
    colour = [(0.98, 0.92, 0.5), (0.98, 0.65, 0.75), (0.7, 0.92, 0.6)][rng.integers(3)]
    note = over(desk, polygon(SHAPE, corners, 0.7), sheet(SHAPE, rng, colour))
    digit = place(ink, SHAPE, rng.uniform(110, 160), somewhere(rng, 0.04))
    return camera(over(note, digit * 0.95, pen_colour(rng)), rng)


def punched_holes(ink: Ink, rng: Random) -> Picture:
    """Two or four holes along an edge, a dark desk under them."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    x = rng.uniform(18, 35)
    holes = np.zeros(SHAPE, np.float32)
    for y in np.linspace(50, 270, int(rng.choice([2, 4]))):
        holes = np.maximum(holes, (11.5 - np.hypot(rows - y, columns - x)).clip(0, 1))
    return camera(over(written(ink, rng), np.rot90(holes, rng.integers(4)), 0.12), rng)


def photo_of_a_screen(ink: Ink, rng: Random) -> Picture:
    """Its rows of pixels make a faint moire."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    waves = np.sin(columns * rng.uniform(0.9, 1.5) + rows * rng.uniform(-0.4, 0.4)) * np.sin(rows * 1.3)
    screen = np.full((*SHAPE, 3), 0.9, np.float32) * (1 + 0.07 * waves[..., None]).astype(np.float32)
    digit = place(ink, SHAPE, rng.uniform(120, 200), somewhere(rng))
    return camera(over(screen, digit, 0.06) * np.float32([0.92, 0.97, 1]), rng)


def app_in_dark_mode(ink: Ink, rng: Random) -> Picture:
    """A screenshot: a light stroke on dark grey, a bar with a rule under it at the top."""
    screen = np.full((360, 280, 3), 0.11, np.float32)
    screen[:40] = 0.18
    screen[40] = 0.35
    digit = place(ink, (360, 280), rng.uniform(110, 190), (0.56, 0.5))
    return quantize(over(screen, digit, [(1, 1, 1), (1, 0.85, 0.3), (0.4, 0.8, 1)][rng.integers(3)]))


def highlighter(ink: Ink, rng: Random) -> Picture:
    """A digit in pen over a stripe of yellow or pink."""
    y = 160 + rng.uniform(-30, 30)
    stripe = line(SHAPE, (20, y), (300, y + rng.uniform(-15, 15)), rng.uniform(50, 110)) * 0.8
    paper = over(sheet(SHAPE, rng), stripe, [(0.98, 0.95, 0.3), (0.98, 0.6, 0.8)][rng.integers(2)])
    return camera(over(paper, place(ink, SHAPE, rng.uniform(120, 180), somewhere(rng)), 0.12), rng)
