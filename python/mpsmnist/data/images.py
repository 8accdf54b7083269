"""Makes images of any type, scale and size uint8 (n, 28, 28), light on dark."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DatasetError
from .idx import MAX_UNPACKED
from .parts import Part

SIDE = 28
_CHUNK = 1 << 17  # pixels that are converted at once: their floats take 1 MB

_log = logging.getLogger(__name__)


def to_images(parts: Sequence[Part], *, resize: bool) -> list[NDArray[np.uint8]]:
    """Make uint8 (n, 28, 28) of the images of each part.

    Whether levels are 0 to 1 or 0 to 255 is decided on all parts together. If none is above half of that,
    as of 16 grey levels or of int8, the highest becomes 255. Colours are weighed as ITU-R BT.601 does.

    Args:
        parts: what belongs together.
        resize: scale images that are not 28x28: by area, enlarged ones by Lanczos' filter. Proportions are
            kept, and the sides that are short are filled with the level of the image's edge.

    Raises:
        DatasetError: the images have another size and may not be scaled, or the numbers are no pixels.
    """
    shaped = [_as_pictures(part) for part in parts]
    for part, images in zip(parts, shaped, strict=True):
        height, width = images.shape[1:3]
        check_size(part.images_name, width, height, resize=resize)
        if (height, width) != (SIDE, SIDE) and len(images) * SIDE**2 > MAX_UNPACKED:
            most = MAX_UNPACKED // SIDE**2
            raise DatasetError(
                f"{part.images_name}: {len(images):,} images, expected {most:,} at most to scale"
            )
        if images.ndim == 4:
            _log.info("%s: its colours are made grey", part.images_name)
    white = _find_white(parts, shaped)
    return [fitted(_to_grey(_to_bytes(images, white))) for images in shaped]


def check_size(name: str, width: int, height: int, *, resize: bool) -> None:
    """Raise DatasetError, which says how to scale images, unless they are 28x28 or will be scaled."""
    if not resize and (width, height) != (SIDE, SIDE):
        raise DatasetError(
            f"{name}: {width} x {height} pixels, expected {SIDE} x {SIDE}: --resize (resize=True in Python) "
            "scales images to that"
        )


def fitted(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale images (n, h, w) to (n, 28, 28)."""
    height, width = images.shape[1:]
    if (height, width) == (SIDE, SIDE):
        return images
    size = tuple(max(1, round(side * SIDE / max(height, width))) for side in (width, height))
    filter_ = Image.Resampling.BOX if max(height, width) > SIDE else Image.Resampling.LANCZOS
    left, top = ((SIDE - side) // 2 for side in size)
    scaled = np.empty((len(images), SIDE, SIDE), np.uint8)
    scaled[:] = _edge_levels(images)[:, np.newaxis, np.newaxis]
    for image, target in zip(images, scaled, strict=True):
        small = np.asarray(Image.fromarray(image).resize((size[0], size[1]), filter_))
        target[top : top + size[1], left : left + size[0]] = small
    return scaled


def light_on_dark(parts: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Invert all images (n, h, w) if most of them are dark on light, as MNIST's are not; say so.

    An image is dark on light if its edge is in the upper third of its levels.
    """
    dark_on_light = np.concatenate([_is_dark_on_light(images) for images in parts])
    if (count := int(dark_on_light.sum())) * 2 <= len(dark_on_light):
        return list(parts)
    _log.info("%d of the %d images are dark on light: all are inverted", count, len(dark_on_light))
    return [255 - images for images in parts]


def _as_pictures(part: Part) -> NDArray[Any]:
    """View the images as (n, h, w) or, of colours, (n, h, w, 3)."""
    images = part.images
    if images.dtype.kind not in "biuf":
        raise DatasetError(f"{part.images_name}: holds {images.dtype}, expected numbers")
    if len(images) == 0:
        raise DatasetError(f"{part.images_name}: is empty, expected at least one image")
    if images.size > 0:
        match images.shape:
            case (_, _, _) | (_, _, _, 3):
                return images
            case (_, _, _, 1):
                return images[..., 0]
            case (_, 1, _, _):
                return images[:, 0]
            case (_, pixels) if (side := math.isqrt(pixels)) ** 2 == pixels and side > 1:
                return images.reshape(-1, side, side)
    raise DatasetError(
        f"{part.images_name}: holds an array of shape {images.shape}, expected (n, 28, 28), (n, 784) or, in "
        f"colour, (n, 28, 28, 3){': are images and labels swapped?' * (images.ndim == 1)}"
    )


def _find_white(parts: Sequence[Part], images: Sequence[NDArray[Any]]) -> float:
    """Decide which level becomes 255: 1, 255 or, if none is above half of that, the highest."""
    highest = [_highest(part, array) for part, array in zip(parts, images, strict=True)]
    if len({high > 1 for high in highest if high > 0}) > 1:
        raise DatasetError(
            f"{parts[0].images_name}: its levels are up to {highest[0]:g}, but those of "
            f"{parts[1].images_name} up to {highest[1]:g}: expected 0 to 1 in both, or 0 to 255"
        )
    high, dtype = max(highest), images[0].dtype
    name = parts[0].images_name
    white = 1 if 0 < high <= 1 else 255
    if 0 < high <= white / 2:
        _log.warning(
            "%s: no level is above %g of %d: that is made 255, the others in proportion", name, high, white
        )
        return high
    if white == 1:
        _log.info("%s: its levels, 0 to 1 (%s), are taken times 255", name, dtype)
    elif dtype != np.uint8:
        _log.info("%s: its levels, 0 to 255 (%s), are taken as they are", name, dtype)
    return white


def _highest(part: Part, images: NDArray[Any]) -> float:
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 255:  # also if there is a NaN
        raise DatasetError(
            f"{part.images_name}: its levels are {low:g} to {high:g} ({images.dtype}), expected 0 to 1 or "
            "0 to 255, as before any normalisation"
        )
    return high


def _to_bytes(images: NDArray[Any], white: float) -> NDArray[np.uint8]:
    if images.dtype == np.uint8 and white == 255:
        return np.ascontiguousarray(images)
    levels = np.empty(images.shape, np.uint8)
    number = max(1, _CHUNK // math.prod(images.shape[1:]))
    for first in range(0, len(images), number):
        chunk = slice(first, first + number)
        levels[chunk] = np.rint(images[chunk].astype(np.float64) * 255 / white)
    return levels


def _to_grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make (n, h, w) of colours, (n, h, w, 3), as of pictures; of anything else nothing."""
    if images.ndim == 3:
        return images
    grey = np.empty(images.shape[:3], np.uint8)
    for image, target in zip(images, grey, strict=True):
        target[:] = Image.fromarray(image).convert("L")
    return grey


def _edge_levels(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the median level of the pixels along the edges of each image (n, h, w): (n,)."""
    edges = [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]]
    levels: NDArray[np.uint8] = np.median(np.concatenate(edges, axis=1), axis=1).astype(np.uint8)
    return levels


def _is_dark_on_light(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    low, high = (images.min(axis=(1, 2)).astype(int), images.max(axis=(1, 2)).astype(int))
    answer: NDArray[np.bool_] = 3 * (_edge_levels(images) - low) > 2 * (high - low)
    return answer
