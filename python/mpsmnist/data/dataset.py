"""A dataset in memory, and reading one from four IDX files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from .idx import read_idx
from .sources import Source


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

    Attributes:
        name: the dataset's name, for example "mnist".
        train_images: uint8 (N, 28, 28), 0 is background.
        train_labels: uint8 (N,), each below `num_classes`.
        test_images: uint8 (M, 28, 28).
        test_labels: uint8 (M,).
        num_classes: the number of classes; labels are below it.
        source: where it came from, for people: a folder, mirrors' addresses or "generated".
        class_names: what the labels 0, 1, ... stand for; empty where they say it themselves, as digits do.
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]
    num_classes: int
    source: str
    class_names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<Dataset {self.name}: {len(self.train_images)} training and {len(self.test_images)} test "
            f"images, {self.num_classes} classes, from {self.source}>"
        )


def read_files(source: Source, paths: Sequence[Path], origin: str) -> Dataset:
    """Read a dataset from `paths`, in the order of `source.files`; any number of images will do.

    Raises:
        DatasetError: a file is malformed, or images and labels do not agree.
    """
    train_images, train_labels = _read_pair(paths[0], paths[1], source.num_classes)
    test_images, test_labels = _read_pair(paths[2], paths[3], source.num_classes)
    return Dataset(
        name=source.name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        num_classes=source.num_classes,
        source=origin,
    )


def _read_pair(
    images_path: Path, labels_path: Path, num_classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images = read_idx(images_path, shape=(None, 28, 28))
    labels = read_idx(labels_path, shape=(None,))
    for path, array in ((images_path, images), (labels_path, labels)):
        if array.dtype != np.uint8:
            raise DatasetError(f"{path}: holds {array.dtype}, expected uint8 (IDX type 0x08)")
        if len(array) == 0:
            raise DatasetError(f"{path}: is empty, expected at least one item")
    if images.max() == 1:
        raise DatasetError(f"{images_path}: no pixel is above 1, expected levels of 0 to 255")
    if len(images) != len(labels):
        raise DatasetError(f"{labels_path}: {len(labels)} labels, expected {len(images)} as in {images_path}")
    if labels.max() >= num_classes:
        index = int(np.argmax(labels >= num_classes))
        raise DatasetError(
            f"{labels_path}: label {labels[index]} at index {index}, expected 0 to {num_classes - 1}"
        )
    return images, labels
