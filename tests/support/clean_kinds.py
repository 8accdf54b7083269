"""Conditions without a camera: drawn on a screen, exported, or already 28x28; from ink to a picture."""

from __future__ import annotations

import colorsys

import numpy as np

from support.ink import Ink
from support.papers import Picture, over, place, quantize, somewhere

Random = np.random.Generator


def black_on_white(ink: Ink, rng: Random) -> Picture:
    return quantize(1 - place(ink, (280, 280), rng.uniform(130, 230), somewhere(rng, 0.05)))


def white_on_black(ink: Ink, rng: Random) -> Picture:
    return quantize(place(ink, (280, 280), rng.uniform(130, 230), somewhere(rng, 0.05)))


def filling_the_canvas(ink: Ink, rng: Random) -> Picture:
    """Cropped to the ink, or nearly."""
    margin = int(rng.integers(0, 4))
    drawn = np.pad(ink, margin)
    return quantize(1 - drawn if rng.random() < 0.5 else drawn)


def up_to_the_edge(ink: Ink, rng: Random) -> Picture:
    """Drawn over an edge of the canvas: up to 8 pixels of the stroke are cut off."""
    size = rng.uniform(200, 270)
    axis, beyond = rng.integers(2), rng.uniform(0, 8)
    sides = [side * size / max(ink.shape) for side in ink.shape]
    centre = [rng.uniform(side / 2, 280 - side / 2) if side < 280 else 140 for side in sides]
    centre[axis] = sides[axis] / 2 - beyond
    if rng.random() < 0.5:
        centre[axis] = 280 - centre[axis]
    drawn = place(ink, (380, 380), size, ((centre[0] + 50) / 380, (centre[1] + 50) / 380))[50:-50, 50:-50]
    return quantize(1 - drawn if rng.random() < 0.5 else drawn)


def small_in_a_large_canvas(ink: Ink, rng: Random) -> Picture:
    centre = (rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8))
    return quantize(1 - place(ink, (600, 800), rng.uniform(28, 50), centre))


def off_centre(ink: Ink, rng: Random) -> Picture:
    return quantize(1 - place(ink, (300, 300), 100, (rng.choice([0.2, 0.8]), rng.choice([0.2, 0.8]))))


def wide_or_tall_canvas(ink: Ink, rng: Random) -> Picture:
    shape = (160, 640) if rng.random() < 0.5 else (640, 160)
    return quantize(1 - place(ink, shape, 110, (rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6))))


def two_levels(ink: Ink, rng: Random) -> Picture:
    """A drawing program without soft edges."""
    return quantize((place(ink, (280, 280), rng.uniform(130, 230)) < 0.5).astype(np.float32))


def colours(ink: Ink, rng: Random) -> Picture:
    """A saturated colour on white, on a pastel one, or on black."""
    hue = rng.random()
    light = rng.random() < 0.3
    pen = colorsys.hsv_to_rgb(hue, 0.9, 0.95) if light else colorsys.hsv_to_rgb(hue, 1, 0.65)
    ground = (0.02, 0.02, 0.04) if light else colorsys.hsv_to_rgb(rng.random(), rng.choice([0.0, 0.2]), 1)
    surface = np.full((280, 280, 3), ground, np.float32)
    return quantize(over(surface, place(ink, (280, 280), rng.uniform(130, 230), somewhere(rng)), pen))


def dark_on_clear(ink: Ink, rng: Random) -> Picture:
    return _on_clear(ink, rng, int(rng.integers(0, 60)))


def light_on_clear(ink: Ink, rng: Random) -> Picture:
    return _on_clear(ink, rng, int(rng.integers(200, 256)))


def _on_clear(ink: Ink, rng: Random, level: int) -> Picture:
    alpha = quantize(place(ink, (280, 280), rng.uniform(130, 230), somewhere(rng)))
    hidden = rng.choice([0, 255, level])  # what is under clear pixels: programs differ
    grey = np.where(alpha > 0, level, hidden).astype(np.uint8)
    return np.stack([grey, grey, grey, alpha], axis=-1)


# 28x28


def _like_mnist(ink: Ink, box: int = 20) -> Picture:
    """28x28, the ink's longer side `box`, its centre of mass in the middle."""
    field = place(ink, (28, 28), box)
    centre = [float((field.sum(axis=1 - axis) * np.arange(28)).sum() / field.sum()) for axis in (0, 1)]
    inside = np.flatnonzero(field.any(axis=1)), np.flatnonzero(field.any(axis=0))
    moves = [
        int(np.clip(round(14 - c), -where[0], 27 - where[-1]))
        for c, where in zip(centre, inside, strict=True)
    ]
    return quantize(np.roll(field, moves, (0, 1)))


def as_mnist(ink: Ink, _rng: Random) -> Picture:
    return _like_mnist(ink)


def mnist_5_off(ink: Ink, rng: Random) -> Picture:
    """5 pixels off centre, or as far as the frame lets it."""
    picture = _like_mnist(ink)
    axis, sign = rng.integers(2), rng.choice([-1, 1])
    where = np.flatnonzero(picture.any(axis=1 - axis))
    move = int(np.clip(5 * sign, -where[0], 27 - where[-1]))
    return np.roll(picture, move, axis)


def mnist_11(ink: Ink, _rng: Random) -> Picture:
    return _like_mnist(ink, 11)


def mnist_27(ink: Ink, _rng: Random) -> Picture:
    return _like_mnist(ink, 27)


def mnist_faint(ink: Ink, _rng: Random) -> Picture:
    """The strongest level is 20 of 255."""
    picture = _like_mnist(ink).astype(np.float32)
    return (picture * 20 / picture.max()).round().astype(np.uint8)


def mnist_dark_on_light(ink: Ink, _rng: Random) -> Picture:
    return 255 - _like_mnist(ink)
