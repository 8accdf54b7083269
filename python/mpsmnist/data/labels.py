"""Makes labels of any type uint8 (n,), names their classes, and takes test images from all."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from ..wording import listed
from .parts import Part
from .sources import number_names

MAX_CLASSES = 256  # labels are uint8
_TEST_SHARE = 6  # one image in so many becomes a test image: MNIST has 10,000 in 70,000
_QMNIST_COLUMNS = 8  # QMNIST's labels: the class, then who wrote it and where

_log = logging.getLogger(__name__)


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
            + ("" if num_classes is None else f", as there are {num_classes} classes")
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
        number = "1 has" if len(absent) == 1 else f"{len(absent)} have"
        _log.info(
            "of the %d classes, %s no images: the first is %d (labels count from 0)", count, number, absent[0]
        )
    return number_names(count)


def check_names(classes: Sequence[str], place: str) -> None:
    """Raise DatasetError unless the names of classes can be printed and told apart, and are few enough."""
    if len(classes) > MAX_CLASSES:
        raise DatasetError(f"{place}: has {len(classes)} classes, expected at most {MAX_CLASSES}")
    for name in classes:
        if not name.isprintable() or not name.strip():
            raise DatasetError(f"{place}: the name of the class {name!a} cannot be printed: rename it")
    if len(set(classes)) < len(classes):
        raise DatasetError(f"{place}: several classes have the same name: {listed(sorted(classes))}")


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
