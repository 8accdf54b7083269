"""What pictures are made of: paper, ink, light and camera. Surfaces are float32 (h, w, 3) in 0..1."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from support.ink import Ink, resized

Picture = NDArray[np.uint8]  # (h, w), (h, w, 3) or (h, w, 4)
Surface = NDArray[np.float32]
Field = NDArray[np.float32]  # (h, w): light, or how much of something is there
Colour = tuple[float, float, float] | float
Shape = tuple[int, int]


def place(ink: Ink, shape: Shape, side: float, centre: tuple[float, float] = (0.5, 0.5)) -> Field:
    """Ink on a bare field: longer side `side` pixels, middle at `centre` (shares of height and width)."""
    scale = side / max(ink.shape)
    small = resized(ink, round(ink.shape[0] * scale), round(ink.shape[1] * scale))
    field = np.zeros(shape, np.float32)
    top, left = (round(c * n - m / 2) for c, n, m in zip(centre, shape, small.shape, strict=True))
    rows, columns = slice(max(top, 0), top + small.shape[0]), slice(max(left, 0), left + small.shape[1])
    target = field[rows, columns]
    target[:] = small[max(-top, 0) :, max(-left, 0) :][: target.shape[0], : target.shape[1]]
    return field


def somewhere(rng: np.random.Generator, spread: float = 0.08) -> tuple[float, float]:
    """Near the middle."""
    return 0.5 + rng.uniform(-spread, spread), 0.5 + rng.uniform(-spread, spread)


def clouds(shape: Shape, rng: np.random.Generator, size: float) -> Field:
    """Smooth noise of mean 0 and deviation about 1, its blobs about `size` pixels."""
    grid = rng.normal(0, 1, [max(2, round(n / size) + 1) for n in shape]).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def sheet(shape: Shape, rng: np.random.Generator, colour: Colour = 0.93, roughness: float = 0.012) -> Surface:
    """A sheet of paper: one colour, its fibres and its unevenness."""
    field = clouds(shape, rng, 2.5) * roughness + clouds(shape, rng, max(shape) / 4) * roughness * 0.7
    return (np.ones((*shape, 3), np.float32) * np.float32(colour) * (1 + field[..., None])).clip(0, 1)


def over(surface: Surface, cover: Field, colour: Colour | Surface) -> Surface:
    """Something of a colour on the surface, opaque where `cover` is 1."""
    blend: Surface = surface + cover[..., None] * (np.float32(colour) - surface)
    return blend


def axes(shape: Shape) -> tuple[Field, Field]:
    """Rows and columns from -1 to 1."""
    down, across = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij")
    return down, across


def gradient(shape: Shape, rng: np.random.Generator, darkest: float) -> Field:
    """Light that falls off in one direction from 1 to `darkest`."""
    down, across = axes(shape)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (np.cos(angle) * across + np.sin(angle) * down) / (abs(np.cos(angle)) + abs(np.sin(angle)))
    return (darkest + (1 - darkest) * (ramp + 1) / 2).astype(np.float32)


def polygon(shape: Shape, corners: list[tuple[float, float]], soft: float) -> Field:
    """A filled polygon (x, y in shares of width, height) with soft edges, `soft` in pixels."""
    from PIL import ImageDraw

    image = Image.new("L", (shape[1], shape[0]))
    ImageDraw.Draw(image).polygon([(x * shape[1], y * shape[0]) for x, y in corners], fill=255)
    return ndimage.gaussian_filter(np.asarray(image, np.float32) / 255, soft)


def line(shape: Shape, start: tuple[float, float], end: tuple[float, float], width: float) -> Field:
    """A straight line between points (x, y in pixels), its edges soft."""
    field = np.zeros(shape, np.float32)
    low = np.maximum(np.minimum(start, end) - width - 1, 0).astype(int)
    high = np.maximum(np.maximum(start, end) + width + 2, 0).astype(int)
    near = field[low[1] : high[1], low[0] : high[0]]
    rows, columns = np.mgrid[low[1] : low[1] + near.shape[0], low[0] : low[0] + near.shape[1]]
    along = np.subtract(end, start)
    length = max(float(np.hypot(*along)), 1e-6)
    t = (((columns - start[0]) * along[0] + (rows - start[1]) * along[1]) / length**2).clip(0, 1)
    away = np.hypot(columns - start[0] - t * along[0], rows - start[1] - t * along[1])
    near[:] = (width / 2 + 0.5 - away).clip(0, 1)
    return field


def warp(surface: Surface, rng: np.random.Generator, amount: float) -> Surface:
    """Look at the surface from a side: each corner of the view is inside by up to `amount` of the sides."""
    height, width = surface.shape[:2]
    inwards = rng.uniform(0, amount, (4, 2))
    corners = np.array([(0, 0), (0, 1), (1, 1), (1, 0)])
    quad = ((corners + np.where(corners == 0, 1, -1) * inwards) * [width, height]).ravel().tolist()
    planes = [Image.fromarray(np.ascontiguousarray(surface[..., c])) for c in range(3)]
    warped = [p.transform(p.size, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR) for p in planes]
    return np.stack([np.asarray(plane) for plane in warped], axis=-1)


def blurred(surface: Surface, sigma: float) -> Surface:
    """Out of focus."""
    return ndimage.gaussian_filter(surface, (sigma, sigma, 0)).astype(np.float32)


def quantize(surface: Surface | Field) -> Picture:
    """0..1 to 0..255."""
    return (np.clip(surface, 0, 1) * 255 + 0.5).astype(np.uint8)


def jpeg(picture: Picture, quality: int) -> Picture:
    """The picture after it was a JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def camera(
    surface: Surface, rng: np.random.Generator, *, blur: float = 0.8, noise: float = 0.012, quality: int = 88
) -> Picture:
    """A photo of the surface: a little out of focus, with the sensor's noise, saved as JPEG."""
    seen = blurred(surface, blur)
    grain = rng.normal(0, noise, seen.shape) + rng.normal(0, noise * 0.7, (*seen.shape[:2], 1))
    cast = 1 + rng.normal(0, 0.02, 3)
    return jpeg(quantize(seen * cast + grain), quality)
