"""Small datasets, and the files that they are read from."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpsmnist.data import Dataset
from mpsmnist.data.sources import number_names
from support.examples import discs

TRAIN_IMAGES = 50
TEST_IMAGES = 20


def small_dataset(seed: int = 0, num_classes: int = 10) -> Dataset:
    """Enough discs for a few steps, in the form that mpsmnist.data.load returns."""
    images, labels = discs(TRAIN_IMAGES + TEST_IMAGES, seed, num_classes)
    labels = labels.astype(np.uint8)
    return Dataset(
        name="discs",
        train_images=images[:TRAIN_IMAGES],
        train_labels=labels[:TRAIN_IMAGES],
        test_images=images[TRAIN_IMAGES:],
        test_labels=labels[TRAIN_IMAGES:],
        classes=number_names(num_classes),
        source="the tests",
    )


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """The contents of an IDX file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(path: Path, array: NDArray[np.uint8]) -> Path:
    path.write_bytes(idx_bytes(array))
    return path


def write_mnist(folder: Path, seed: int = 0) -> Path:
    """Write small_dataset() to `folder` under MNIST's file names."""
    data = small_dataset(seed)
    write_idx(folder / "train-images-idx3-ubyte", data.train_images)
    write_idx(folder / "train-labels-idx1-ubyte", data.train_labels)
    write_idx(folder / "t10k-images-idx3-ubyte", data.test_images)
    write_idx(folder / "t10k-labels-idx1-ubyte", data.test_labels)
    return folder
