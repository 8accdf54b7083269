"""A dataset in memory, and reading one from its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from .sources import Source
from .stored import read_download, stored_name


class UnavailableError(DatasetError):
    """The dataset is nowhere to be found, or cannot be stored; one by another name may do.

    Attributes:
        brief: why, in less than a line; the message itself lists all that was tried.
    """

    def __init__(self, message: str, brief: str) -> None:
        super().__init__(message)
        self.brief = brief


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels to train on and to test on.

    Arrays of the cache are mapped from a file; changes to them are the process's own, as of any array.

    Attributes:
        name: the dataset's name, for example "mnist".
        train_images: uint8 (N, 28, 28), 0 is background.
        train_labels: uint8 (N,), each below `num_classes`.
        test_images: uint8 (M, 28, 28).
        test_labels: uint8 (M,).
        classes: what to print for the labels 0, 1, ...: "7", "A" or "Ankle boot".
        source: where it came from, for people: a folder, mirrors' addresses or "generated".
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]
    classes: tuple[str, ...]
    source: str

    @property
    def num_classes(self) -> int:
        """The number of classes; labels are below it."""
        return len(self.classes)

    def __repr__(self) -> str:
        return (
            f"<Dataset {self.name}: {len(self.train_images)} training and {len(self.test_images)} test "
            f"images, {self.num_classes} classes, from {self.source}>"
        )


class _Stored(NamedTuple):
    """What a file holds, and what to call it in messages."""

    name: str
    array: NDArray[Any]


def read_downloads(source: Source, folder: Path, origin: str) -> Dataset:
    """Read a dataset from `folder`, where its downloads are; any number of images will do.

    Raises:
        DatasetError: a file is malformed, or images and labels do not agree.
    """
    stored = []
    for file in source.files:
        path = folder / file.download.name
        array = read_download(path, file, shape=file.any_number)
        stored.append(_Stored(stored_name(path, file), array))
    return _decode(source, stored, origin)


def _decode(source: Source, stored: Sequence[_Stored], origin: str) -> Dataset:
    train_images, train_labels = _decode_pair(source, stored[0], stored[1])
    test_images, test_labels = _decode_pair(source, stored[2], stored[3])
    return Dataset(
        name=source.name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=source.classes,
        source=origin,
    )


def _decode_pair(
    source: Source, images: _Stored, labels: _Stored
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if images.array.dtype != np.uint8:
        raise DatasetError(f"{images.name}: holds {images.array.dtype}, expected uint8 (IDX type 0x08)")
    if labels.array.dtype.kind not in "iu":
        raise DatasetError(f"{labels.name}: holds {labels.array.dtype}, expected integers")
    for name, array in (images, labels):
        if len(array) == 0:
            raise DatasetError(f"{name}: is empty, expected at least one item")
    if images.array.max() == 1:
        raise DatasetError(f"{images.name}: no pixel is above 1, expected levels of 0 to 255")
    if len(images.array) != len(labels.array):
        raise DatasetError(
            f"{labels.name}: {len(labels.array)} labels, expected {len(images.array)} as in {images.name}"
        )
    classes = source.decoder.select(labels.array)
    first, last = source.decoder.first_label, source.decoder.first_label + source.num_classes - 1
    strange = (classes < first) | (classes > last)
    if strange.any():
        index = int(strange.argmax())
        raise DatasetError(
            f"{labels.name}: label {classes[index]} at index {index}, expected {first} to {last}"
        )
    return source.decoder.turn(images.array), (classes - first).astype(np.uint8)
