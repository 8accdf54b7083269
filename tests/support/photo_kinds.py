"""Conditions of photos and scans: paper, light, what lies around, the camera; from ink to a picture."""

from __future__ import annotations

import colorsys

import numpy as np
from scipy import ndimage

from support.ink import Ink
from support.papers import (
    Field,
    Picture,
    Shape,
    Surface,
    axes,
    blurred,
    camera,
    clouds,
    gradient,
    jpeg,
    line,
    over,
    place,
    polygon,
    quantize,
    sheet,
    somewhere,
    warp,
)

Random = np.random.Generator
SHAPE = (320, 320)


def pen_colour(rng: Random) -> tuple[float, float, float]:
    """Black, blue, red or green, as pens are."""
    colours = [(0.1, 0.1, 0.12), (0.12, 0.18, 0.5), (0.1, 0.1, 0.12), (0.7, 0.12, 0.15), (0.08, 0.4, 0.2)]
    return colours[rng.integers(len(colours))]


def written(ink: Ink, rng: Random, shape: Shape = SHAPE, paper: Surface | None = None) -> Surface:
    """The digit in pen on a sheet."""
    side = rng.uniform(0.35, 0.65) * min(shape)
    surface = sheet(shape, rng, rng.uniform(0.82, 0.97)) if paper is None else paper
    return over(surface, place(ink, shape, side, somewhere(rng)) * rng.uniform(0.85, 1), pen_colour(rng))


def lit(surface: Surface, light: Field) -> Surface:
    lit: Surface = surface * light[..., None]
    return lit


# Light


def gentle_gradient(ink: Ink, rng: Random) -> Picture:
    return camera(lit(written(ink, rng), gradient(SHAPE, rng, rng.uniform(0.6, 0.75))), rng)


def strong_gradient(ink: Ink, rng: Random) -> Picture:
    return camera(lit(written(ink, rng), gradient(SHAPE, rng, rng.uniform(0.22, 0.4))), rng)


def vignette(ink: Ink, rng: Random) -> Picture:
    down, across = axes(SHAPE)
    distance = (down**2 + across**2) / 2
    light = 1 - rng.uniform(0.5, 0.8) * distance ** rng.uniform(0.8, 1.4)
    return camera(lit(written(ink, rng), light), rng)


def hand_shadow(ink: Ink, rng: Random) -> Picture:
    """A hand between lamp and paper: dark, from one side, with fingers, its edge partly across the digit."""
    side = rng.uniform(0.35, 0.65)
    fingers = int(rng.integers(1, 5))
    corners = [(-0.1, 1.1), (-0.1, side + 0.35)]
    for finger in range(fingers):
        x, tip = 0.1 + 0.8 * finger / fingers, side - rng.uniform(0.05, 0.4)
        corners += [
            (x, side + 0.2),
            (x + 0.02, tip + 0.05),
            (x + 0.06, tip),
            (x + 0.1, tip + 0.05),
            (x + 0.13, side + 0.2),
        ]
    corners += [(1.1, side + rng.uniform(-0.1, 0.4)), (1.1, 1.1)]
    shadow = np.rot90(polygon(SHAPE, corners, rng.uniform(3, 14)), rng.integers(4))
    return camera(lit(written(ink, rng), 1 - rng.uniform(0.45, 0.75) * shadow), rng)


def lamp_spot(ink: Ink, rng: Random) -> Picture:
    """A lamp's cone over the page: bright in one place, nearly dark in the corners, warm."""
    down, across = axes(SHAPE)
    y, x = rng.uniform(-0.4, 0.4, 2)
    light = 0.25 + 0.85 * np.exp(-((down - y) ** 2 + (across - x) ** 2) / rng.uniform(0.4, 0.9))
    return camera(lit(written(ink, rng), light) * np.float32([1, 0.9, 0.7]), rng)


def noisy_low_contrast(ink: Ink, rng: Random) -> Picture:
    """A dark room: the camera's gain high, ink not much darker than paper."""
    paper = rng.uniform(0.45, 0.6)
    surface = over(
        sheet(SHAPE, rng, paper), place(ink, SHAPE, rng.uniform(130, 210), somewhere(rng)), paper - 0.2
    )
    return camera(surface, rng, blur=1.2, noise=rng.uniform(0.04, 0.06), quality=70)


def out_of_focus(ink: Ink, rng: Random) -> Picture:
    return camera(written(ink, rng), rng, blur=rng.uniform(3, 5))


def phone_photo(ink: Ink, rng: Random) -> Picture:
    """Upright, as one sees it; as_phone_saves() turns it and says so in EXIF."""
    shape = (1200, 900)
    surface = warp(written(ink, rng, shape), rng, 0.05)
    return camera(
        lit(surface, gradient(shape, rng, rng.uniform(0.5, 0.8))), rng, blur=2.5, noise=0.02, quality=80
    )


# Paper


def ruled(ink: Ink, rng: Random) -> Picture:
    """Blue lines, sometimes a red margin; the digit stands on a line or across some."""
    surface = sheet(SHAPE, rng, 0.95)
    pitch, tilt = rng.uniform(24, 70), rng.uniform(-4, 4)
    for y in np.arange(rng.uniform(0, pitch), SHAPE[0], pitch):
        surface = over(
            surface, line(SHAPE, (0, y - tilt), (SHAPE[1], y + tilt), rng.uniform(0.8, 2)), (0.6, 0.7, 0.86)
        )
    if rng.random() < 0.4:
        x = rng.uniform(20, 60)
        surface = over(surface, line(SHAPE, (x + tilt, 0), (x - tilt, SHAPE[0]), 1.5), (0.88, 0.5, 0.55))
    return camera(written(ink, rng, paper=surface), rng)


def squared(ink: Ink, rng: Random) -> Picture:
    pitch, tilt = rng.uniform(16, 48), rng.uniform(-4, 4)
    surface = sheet(SHAPE, rng, 0.95)
    colour = [(0.62, 0.72, 0.85), (0.72, 0.72, 0.72)][rng.integers(2)]
    for at in np.arange(rng.uniform(0, pitch), SHAPE[0], pitch):
        surface = over(surface, line(SHAPE, (0, at - tilt), (SHAPE[1], at + tilt), 1.2), colour)
        surface = over(surface, line(SHAPE, (at + tilt, 0), (at - tilt, SHAPE[0]), 1.2), colour)
    return camera(written(ink, rng, paper=surface), rng)


def _box(shape: Shape, corner: tuple[float, float], side: float, width: float) -> Field:
    """A printed square whose upper left corner (x, y) is `corner`."""
    (left, top), (right, bottom) = corner, (corner[0] + side, corner[1] + side)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    sides = zip(corners, corners[1:] + corners[:1], strict=True)
    return np.maximum.reduce([line(shape, start, end, width) for start, end in sides])


def printed_box(ink: Ink, rng: Random) -> Picture:
    """A form's box, black or grey, around the digit with some room."""
    side = rng.uniform(110, 160)
    half = side / 2 * rng.uniform(1.3, 1.7)
    box = _box(SHAPE, (160 - half, 160 - half), 2 * half, rng.uniform(2, 6))
    surface = over(sheet(SHAPE, rng), box, rng.uniform(0.05, 0.5))
    digit = place(ink, SHAPE, side, somewhere(rng, 0.03))
    return camera(over(surface, digit * 0.95, pen_colour(rng)), rng)


def row_of_boxes(ink: Ink, rng: Random) -> Picture:
    """One digit in the middle box of a form's row of them, the others empty."""
    shape = (160, 420)
    boxes = np.maximum.reduce([_box(shape, (left, 30), 100, 2) for left in (10, 110, 210, 310)])
    surface = over(sheet(shape, rng), boxes, 0.35)
    digit = place(ink, shape, rng.uniform(60, 78), (0.5, (110 + 100 * rng.integers(2) + 50) / 420))
    return camera(over(surface, digit, pen_colour(rng)), rng, blur=0.6)


def form_underline(ink: Ink, rng: Random) -> Picture:
    """A line to write on, the digit just above it or touching it."""
    side = rng.uniform(110, 170)
    y = 160 + side / 2 + rng.uniform(-3, 14)
    surface = over(
        sheet(SHAPE, rng), line(SHAPE, (30, y), (290, y + rng.uniform(-3, 3)), rng.uniform(1.5, 3)), 0.25
    )
    return camera(over(surface, place(ink, SHAPE, side) * 0.95, pen_colour(rng)), rng)


def crumpled(ink: Ink, rng: Random) -> Picture:
    """Facets that catch the light differently, with creases between them."""
    seeds = rng.uniform(0, 320, (int(rng.integers(14, 30)), 2))
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    wobble = clouds(SHAPE, rng, 30) * 5
    distances = np.sort([np.hypot(rows + wobble - y, columns + wobble - x) for y, x in seeds], axis=0)
    facets = np.argmin([np.hypot(rows + wobble - y, columns + wobble - x) for y, x in seeds], axis=0)
    tones = rng.uniform(0.72, 1, len(seeds))[facets]
    creases = np.exp(-((distances[1] - distances[0]) ** 2) / 8) * clouds(SHAPE, rng, 25) * 0.12
    light = ndimage.gaussian_filter(tones, 2.5) - creases
    return camera(lit(written(ink, rng), light.astype(np.float32)), rng)


def bleed_through(ink: Ink, rng: Random) -> Picture:
    """Thin paper: what is written on the back shows, mirrored, faint and soft."""
    back = np.roll(np.fliplr(place(ink, SHAPE, 150)), tuple(rng.integers(-90, 90, 2)), (0, 1))
    back = np.maximum(back, np.roll(back, 130, 1))
    surface = over(sheet(SHAPE, rng), ndimage.gaussian_filter(back, 2) * rng.uniform(0.1, 0.2), 0.3)
    return camera(written(ink, rng, paper=surface), rng)


def black_on_dark_grey(ink: Ink, rng: Random) -> Picture:
    """Paper of level 127 or darker, as underexposed photos have it."""
    surface = sheet(SHAPE, rng, rng.uniform(0.28, 0.49))
    return camera(over(surface, place(ink, SHAPE, rng.uniform(130, 210), somewhere(rng)), 0.04), rng)


def same_luminance(ink: Ink, rng: Random) -> Picture:
    """Coloured ink on paper of another colour that is about as bright."""
    weights = np.float32([0.299, 0.587, 0.114])
    hue = rng.random()
    paper = np.float32(colorsys.hsv_to_rgb(hue, rng.uniform(0.55, 0.8), 0.8))
    pen = np.float32(colorsys.hsv_to_rgb((hue + rng.uniform(0.3, 0.7)) % 1, rng.uniform(0.6, 0.9), 0.8))
    target = float(rng.uniform(0.35, 0.45))  # what both can reach without leaving 0..1
    paper, pen = (colour * target / float(colour @ weights) for colour in (paper, pen))
    top = max(paper.max(), pen.max(), 1)
    digit = place(ink, SHAPE, rng.uniform(130, 210), somewhere(rng))
    return camera(over(sheet(SHAPE, rng, paper / top), digit, pen / top), rng, noise=0.006, quality=92)


def pencil(ink: Ink, rng: Random) -> Picture:
    """Faint and grainy: graphite stays on the paper's peaks."""
    tooth = (0.5 + 0.35 * clouds(SHAPE, rng, 1.5)).clip(0, 1)
    digit = place(ink, SHAPE, rng.uniform(130, 210), somewhere(rng)) * (0.35 + 0.65 * tooth)
    return camera(over(sheet(SHAPE, rng, 0.93), digit * rng.uniform(0.4, 0.65), 0.35), rng, blur=0.7)


# Around the paper


def _table(shape: Shape, rng: Random) -> Surface:
    """A dark table with a grain."""
    grain = clouds((shape[0], max(2, shape[1] // 12)), rng, 3)
    stretched = np.repeat(grain, 13, axis=1)[:, : shape[1]]
    colour = [(0.22, 0.14, 0.08), (0.1, 0.1, 0.11), (0.3, 0.2, 0.13)][rng.integers(3)]
    return (np.float32(colour) * (1 + 0.18 * stretched[..., None])).clip(0, 1)


def on_dark_table(ink: Ink, rng: Random) -> Picture:
    """A sheet, not quite straight, on a table that shows on all sides or on some."""
    low = rng.uniform(-0.15, 0.14, 8)
    low[rng.integers(8)] = 0.12
    corners = [(low[0], low[1]), (1 - low[2], low[3]), (1 - low[4], 1 - low[5]), (low[6], 1 - low[7])]
    paper = polygon(SHAPE, corners, 0.7)
    surface = over(_table(SHAPE, rng), paper, sheet(SHAPE, rng))
    digit = place(ink, SHAPE, rng.uniform(100, 160), somewhere(rng, 0.05))
    return camera(lit(over(surface, digit, pen_colour(rng)), gradient(SHAPE, rng, 0.8)), rng)


def card_with_clear_margin(ink: Ink, rng: Random) -> Picture:
    """A white card cut out with rounded corners: clear around it."""
    rows, columns = axes(SHAPE)
    size = rng.uniform(0.75, 0.92)
    alpha = (((size**8 - rows**8 - columns**8) * 40).clip(0, 1)).astype(np.float32)
    card = over(sheet(SHAPE, rng, 0.97), place(ink, SHAPE, rng.uniform(110, 180), somewhere(rng, 0.04)), 0.08)
    hidden = rng.choice([0.0, 1.0])
    colour = np.where(alpha[..., None] > 0, card, hidden)
    return quantize(np.concatenate([colour, alpha[..., None]], axis=-1))


def frame_at_edge(ink: Ink, rng: Random) -> Picture:
    """A black border of a few pixels at the very edge, as scans and screenshots have it."""
    picture = jpeg(quantize(written(ink, rng)), 90).copy()
    width = int(rng.integers(2, 9))
    for side in range(4):
        np.rot90(picture, side)[:width] = 10
    return picture


def scan_with_dust(ink: Ink, rng: Random) -> Picture:
    """Grey levels of a scanner: specks, hairs, a dark edge where the lid was open; no camera."""
    surface = written(ink, rng)
    for _ in range(rng.integers(10, 40)):
        y, x = rng.uniform(0, 320, 2)
        turn, length = rng.uniform(0, np.pi), rng.choice([1, 2, 3, 10])
        end = (x + length * np.cos(turn), y + length * np.sin(turn))
        surface = over(surface, line(SHAPE, (x, y), end, rng.uniform(1, 2.5)), rng.uniform(0.1, 0.6))
    edge = int(rng.integers(5, 30))
    shade = np.ones(SHAPE, np.float32)
    shade[:, :edge] = np.linspace(0.08, 0.5, edge)
    grey = lit(surface, np.rot90(shade, rng.integers(4))).mean(axis=-1)
    return quantize(grey + rng.normal(0, 0.008, SHAPE))


def low_quality_jpeg(ink: Ink, rng: Random) -> Picture:
    return jpeg(quantize(blurred(written(ink, rng, (200, 200)), 0.6)), int(rng.integers(6, 15)))


# Other surfaces


def blackboard(ink: Ink, rng: Random) -> Picture:
    """Chalk with its grain on a board with smears of the sponge."""
    surface = sheet(SHAPE, rng, [(0.12, 0.2, 0.16), (0.13, 0.14, 0.15)][rng.integers(2)], 0.05)
    streaks = np.repeat(clouds((SHAPE[0], 20), rng, 12), 16, axis=1)
    smear = (
        clouds(SHAPE, rng, 60) * 0.5 + ndimage.rotate(streaks, 20, reshape=False, mode="wrap") * 0.5
    ).clip(0, 1)
    surface = over(surface, (smear * rng.uniform(0.12, 0.25)).clip(0, 1), 0.8)
    digit = place(ink, SHAPE, rng.uniform(130, 220), somewhere(rng))
    chalk = digit * (0.72 + 0.3 * clouds(SHAPE, rng, 1.6)).clip(0.1, 1)
    return camera(over(surface, chalk * 0.9, (0.93, 0.93, 0.9)), rng)


def whiteboard(ink: Ink, rng: Random) -> Picture:
    """A marker on a glossy board that mirrors a window or a lamp."""
    surface = written(ink, rng, paper=sheet(SHAPE, rng, rng.uniform(0.6, 0.75), 0.004))
    down, across = axes(SHAPE)
    y, x = rng.uniform(-0.9, 0.9, 2)
    glare = np.exp(-((down - y) ** 2 / 0.08 + (across - x) ** 2 / 0.15)) * rng.uniform(0.4, 0.8)
    surface = over(surface, glare.astype(np.float32), 1)
    return camera(lit(surface, gradient(SHAPE, rng, 0.7)), rng)
