"""What files of the user's own hold, of any type and scale, made into the images and labels of a Dataset."""

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DatasetError
from .sources import number_names

SIDE = 28
MAX_CLASSES = 256  # labels are uint8
_TEST_SHARE = 6  # one image in so many becomes a test image: MNIST has 10,000 in 70,000
_QMNIST_COLUMNS = 8  # QMNIST's labels: the class, then who wrote it and where
_DIM = 127  # levels; a whole set without a brighter one was hardly meant as 0 to 255
_CHUNK = 1000  # images that are converted at once: their floats take 6 MB

_ROLE = re.compile(r"(?:^|[^a-z])(train|test|t10k)(?:ing)?(?:$|[^a-z])")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """The training or the test data, as files have them.

    Attributes:
        images: any numbers; (n, h, w), (n, h, w, 1), (n, 1, h, w), or (n, k) with rows of square images.
        labels: any whole numbers; (n,), (n, 1), QMNIST's (n, 8), or one-hot (n, classes).
        images_name: where the images are, for messages.
        labels_name: where the labels are.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    images_name: str
    labels_name: str


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes:
        train: the training data, or all there are.
        test: the test data, if there are any.
        place: where they were found, for people.
        classes: the classes' names, where the labels do not say them themselves.
    """

    train: Part
    test: Part | None
    place: str
    classes: tuple[str, ...] | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that there are."""
        return (self.train,) if self.test is None else (self.train, self.test)


def role_of(path: Path) -> str | None:
    """Tell by a file's name whether it is for "train" or for "test"; None if it does not say."""
    match = _ROLE.search(path.stem.lower())
    return None if match is None else "train" if match[1] == "train" else "test"


def to_images(parts: Sequence[Part], *, resize: bool) -> list[NDArray[np.uint8]]:
    """Make uint8 (n, 28, 28) of the images of each part.

    Whether levels are 0 to 1 or 0 to 255 is decided on all parts together.

    Args:
        parts: what belongs together.
        resize: scale images that are not 28x28: by area, enlarged ones by Lanczos' filter. Proportions are
            kept, and the sides that are short are filled with the level of the image's edge.

    Raises:
        DatasetError: the images have another size and may not be scaled, or the numbers are no pixels.
    """
    shaped = [_as_pictures(part) for part in parts]
    for part, images in zip(parts, shaped, strict=True):
        height, width = images.shape[1:]
        check_size(part.images_name, width, height, resize=resize)
    factor = _find_factor(parts, shaped)
    return [fitted(_to_bytes(images, factor)) for images in shaped]


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


def _edge_levels(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the median level of the pixels along the edges of each image (n, h, w): (n,)."""
    edges = [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]]
    levels: NDArray[np.uint8] = np.median(np.concatenate(edges, axis=1), axis=1).astype(np.uint8)
    return levels


def light_on_dark(parts: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Invert all images (n, h, w) if most of them are dark on light, as MNIST's are not; say so.

    An image is dark on light if its edge is in the upper third of its levels.
    """
    dark_on_light = np.concatenate([_is_dark_on_light(images) for images in parts])
    if (count := int(dark_on_light.sum())) * 2 <= len(dark_on_light):
        return list(parts)
    _log.info("%d of the %d images are dark on light: all are inverted", count, len(dark_on_light))
    return [255 - images for images in parts]


def to_labels(part: Part, num_classes: int | None = None, first: int = 0) -> NDArray[np.uint8]:
    """Make uint8 (n,) of the labels, which count from `first`; what is returned counts from 0.

    Raises:
        DatasetError: they are not as many as the images, or not whole, or not of `num_classes` (None: 256).
    """
    labels = _as_numbers(part)
    if len(labels) != len(part.images):
        raise DatasetError(
            f"{part.labels_name}: {len(labels)} labels, expected {len(part.images)} as in {part.images_name}"
        )
    last = first + (MAX_CLASSES if num_classes is None else num_classes) - 1
    good = (labels >= first) & (labels <= last) & (labels == np.floor(labels))  # NaN is none of these
    if not good.all():
        index = int(np.argmin(good))
        raise DatasetError(
            f"{part.labels_name}: label {labels[index]} at index {index}, "
            f"expected {'a whole number, ' if labels.dtype.kind == 'f' else ''}{first} to {last}"
        )
    return (labels - first).astype(np.uint8)


def name_classes(labels: Sequence[NDArray[np.uint8]], num_classes: int | None) -> tuple[str, ...]:
    """Name the classes by their labels; unless their number is given, the highest label is the last of them.

    Labels that no image has are classes too, and said.
    """
    present = np.unique(np.concatenate(labels))
    count = int(present.max()) + 1 if num_classes is None else num_classes
    absent = sorted(set(range(count)) - set(present.tolist()))
    if absent:
        _log.info("of the %d classes, %d have no images: the first is %d", count, len(absent), absent[0])
    return number_names(count)


def split(labels: NDArray[np.uint8], name: str) -> NDArray[np.bool_]:
    """Choose the test images, one sixth of each class, where no test files say which: (n,).

    The same for the same labels, whatever the seed of a run: runs can be compared, and one that starts from
    another's weights is not tested on what those were trained on.

    Raises:
        DatasetError: there are too few images.
    """
    # The raw output of a bit generator is the same in every version of NumPy; that of shuffles is not.
    order = np.lexsort((np.random.PCG64(0).random_raw(len(labels)), labels))
    chosen = np.zeros(len(labels), np.bool_)
    for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        chosen[rows[: (len(rows) + _TEST_SHARE // 2) // _TEST_SHARE]] = True
    if not chosen.any():
        raise DatasetError(
            f"{name}: there are no test images, and {len(labels)} images are too few to take some from: "
            "expected at least 3 of a class"
        )
    _log.info(
        "there are no test files: %d of the %d images, one sixth of each class, drawn with a fixed seed, "
        "are kept for tests",
        chosen.sum(),
        len(labels),
    )
    return chosen


def _as_pictures(part: Part) -> NDArray[Any]:
    """View the images as (n, h, w)."""
    images = part.images
    if images.dtype.kind not in "biuf":
        raise DatasetError(f"{part.images_name}: holds {images.dtype}, expected numbers")
    if len(images) == 0:
        raise DatasetError(f"{part.images_name}: is empty, expected at least one image")
    if images.size > 0:
        match images.shape:
            case (_, _, _):
                return images
            case (_, _, _, 1):
                return images[..., 0]
            case (_, 1, _, _):
                return images[:, 0]
            case (_, pixels) if (side := math.isqrt(pixels)) ** 2 == pixels and side > 1:
                return images.reshape(-1, side, side)
    raise DatasetError(
        f"{part.images_name}: holds an array of shape {images.shape}, expected (n, 28, 28) or (n, 784)"
    )


def _find_factor(parts: Sequence[Part], images: Sequence[NDArray[Any]]) -> int:
    """Decide whether levels are 0 to 1, which takes a factor of 255, or 0 to 255."""
    highest = [_highest(part, array) for part, array in zip(parts, images, strict=True)]
    if len({high > 1 for high in highest if high > 0}) > 1:
        raise DatasetError(
            f"{parts[0].images_name}: its levels are up to {highest[0]:g}, but those of "
            f"{parts[1].images_name} up to {highest[1]:g}: expected 0 to 1 in both, or 0 to 255"
        )
    high, dtype = max(highest), images[0].dtype
    name = parts[0].images_name
    if 0 < high <= 1:
        _log.info("%s: its levels, 0 to 1 (%s), are taken times 255", name, dtype)
        return 255
    if high <= _DIM:
        _log.warning("%s: no level is above %g, taken as of 0 to 255: the images are dim", name, high)
    elif dtype != np.uint8:
        _log.info("%s: its levels, 0 to 255 (%s), are taken as they are", name, dtype)
    return 1


def _highest(part: Part, images: NDArray[Any]) -> float:
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 255:  # also if there is a NaN
        raise DatasetError(
            f"{part.images_name}: its levels are {low:g} to {high:g} ({images.dtype}), expected 0 to 1 or "
            "0 to 255, as before any normalisation"
        )
    return high


def _to_bytes(images: NDArray[Any], factor: int) -> NDArray[np.uint8]:
    if images.dtype == np.uint8 and factor == 1:
        return np.ascontiguousarray(images)
    levels = np.empty(images.shape, np.uint8)
    for first in range(0, len(images), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        levels[chunk] = np.rint(images[chunk].astype(np.float64) * factor)
    return levels


def _is_dark_on_light(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    low, high = (images.min(axis=(1, 2)).astype(int), images.max(axis=(1, 2)).astype(int))
    answer: NDArray[np.bool_] = 3 * (_edge_levels(images) - low) > 2 * (high - low)
    return answer


def _as_numbers(part: Part) -> NDArray[Any]:
    """View the labels as (n,)."""
    labels, name = part.labels, part.labels_name
    if labels.dtype.kind not in "biuf":
        raise DatasetError(f"{name}: holds {labels.dtype}, expected whole numbers")
    match labels.shape:
        case (_,):
            return labels
        case (_, 1):
            return labels[:, 0]
        case (_, columns) if columns > 1 and _is_one_hot(labels):
            classes: NDArray[Any] = labels.argmax(axis=1)
            return classes
        case (_, columns) if columns == _QMNIST_COLUMNS and labels.dtype.kind == "i":
            return labels[:, 0]
    raise DatasetError(f"{name}: holds an array of shape {labels.shape}, expected labels of shape (n,)")


def _is_one_hot(labels: NDArray[Any]) -> bool:
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all())
