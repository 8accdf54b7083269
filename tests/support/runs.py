"""Small data sets and command lines for the tests of training and prediction."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpsmnist.data import Dataset
from support.examples import discs

TRAIN_IMAGES = 50
TEST_IMAGES = 20


def small_dataset(seed: int = 0, num_classes: int = 10) -> Dataset:
    """Discs enough for a few steps, in the form that mpsmnist.data.load gives."""
    images, labels = discs(TRAIN_IMAGES + TEST_IMAGES, seed, num_classes)
    labels = labels.astype(np.uint8)
    return Dataset(
        name="discs",
        train_images=images[:TRAIN_IMAGES],
        train_labels=labels[:TRAIN_IMAGES],
        test_images=images[TRAIN_IMAGES:],
        test_labels=labels[TRAIN_IMAGES:],
        num_classes=num_classes,
        source="the tests",
    )


def write_idx(path: Path, array: NDArray[np.uint8]) -> Path:
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())
    return path


def write_mnist(folder: Path, seed: int = 0) -> Path:
    """Write small_dataset() to `folder` under MNIST's file names."""
    data = small_dataset(seed)
    write_idx(folder / "train-images-idx3-ubyte", data.train_images)
    write_idx(folder / "train-labels-idx1-ubyte", data.train_labels)
    write_idx(folder / "t10k-images-idx3-ubyte", data.test_images)
    write_idx(folder / "t10k-labels-idx1-ubyte", data.test_labels)
    return folder


def command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"mpsmnist.{module}", *map(str, arguments)]


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(module, *arguments), capture_output=True, text=True, timeout=120, check=False
    )


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
