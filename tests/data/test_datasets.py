"""Datasets by name, and what their files must hold."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from mpsmnist.data import DATASETS, load
from mpsmnist.errors import DatasetError
from support.datasets import idx_bytes
from support.small_mnist import (
    FIELDS,
    LABELS,
    NAMES,
    TRAIN,
    write_set,
)

REAL_DATA_DIR = os.environ.get("MPSMNIST_DATA_DIR")


def test_a_name_that_no_dataset_has() -> None:
    with pytest.raises(ValueError, match=f"name is 'minst', expected one of {', '.join(DATASETS)}"):
        load("minst")


def test_a_dataset_cannot_be_changed_and_compares_by_identity(tmp_path: Path) -> None:
    dataset = load("mnist", data_dir=write_set(tmp_path))
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"  # type: ignore[misc]
    assert dataset != load("mnist", data_dir=tmp_path)


def test_a_dataset_describes_itself_in_a_line(tmp_path: Path) -> None:
    dataset = load("mnist", data_dir=write_set(tmp_path))
    train, test = len(dataset.train_images), len(dataset.test_images)
    assert repr(dataset) == (
        f"<Dataset mnist: {train} training and {test} test images, 10 classes, from {dataset.source}>"
    )


@pytest.mark.skipif(REAL_DATA_DIR is None, reason="MPSMNIST_DATA_DIR does not name a folder with real MNIST")
def test_real_mnist() -> None:
    dataset = load("mnist", data_dir=REAL_DATA_DIR)
    assert [hashlib.sha256(idx_bytes(getattr(dataset, field))).hexdigest() for field in FIELDS] == [
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ]


DISAGREEMENTS = {
    "size": (
        {"train_images": TRAIN[:, :27]},
        NAMES[0],
        "28 x 27 pixels, expected 28 x 28: --resize .* scales images to that",
    ),
    "flat": (
        {"train_images": TRAIN.reshape(30, 784)[:, 1:]},
        NAMES[0],
        r"shape \(30, 783\), expected .n, 28",
    ),
    "images_for_labels": (
        {"test_labels": TRAIN},
        NAMES[3],
        r"shape \(30, 28, 28\), expected labels of shape \(n,\)",
    ),
    "labels_for_images": ({"test_images": LABELS}, NAMES[2], r"shape \(30,\), expected \(n, 28, 28\)"),
    "fewer_labels": ({"train_labels": LABELS[:29]}, NAMES[1], "29 labels, expected 30 as in .*train-images"),
    "more_labels": ({"test_labels": LABELS}, NAMES[3], "30 labels, expected 20 as in .*t10k-images"),
    "label_10": (
        {"train_labels": np.where(np.arange(30) == 7, 10, LABELS).astype(np.uint8)},
        NAMES[1],
        "label 10 at index 7, expected 0 to 9",
    ),
    "levels of 0 and 1": (
        {"train_images": TRAIN // 255},
        NAMES[0],
        "its levels are up to 1, but those of .*t10k-images.* up to 255: expected 0 to 1 in both, or ",
    ),
    "nothing": ({"test_images": TRAIN[:0], "test_labels": LABELS[:0]}, NAMES[2], "is empty"),
}


@pytest.mark.parametrize(("changed", "culprit", "message"), DISAGREEMENTS.values(), ids=DISAGREEMENTS)
def test_files_that_do_not_agree(
    tmp_path: Path, changed: dict[str, np.ndarray], culprit: str, message: str
) -> None:
    write_set(tmp_path, **changed)
    with pytest.raises(DatasetError, match=f"^{re.escape(str(tmp_path / culprit))}: .*{message}"):
        load("mnist", data_dir=tmp_path)


def test_labels_may_be_of_any_integer_type(tmp_path: Path) -> None:
    write_set(tmp_path)
    header = struct.pack(">BBBBI", 0, 0, 0x0C, 1, 30)
    (tmp_path / NAMES[1]).write_bytes(header + LABELS.astype(">i4").tobytes())
    dataset = load("mnist", data_dir=tmp_path)
    assert dataset.train_labels.dtype == np.uint8
    np.testing.assert_array_equal(dataset.train_labels, LABELS)
    (tmp_path / NAMES[1]).write_bytes(header + (LABELS.astype(np.int32) - 256).astype(">i4").tobytes())
    with pytest.raises(DatasetError, match=f"{NAMES[1]}: label -2[0-9]+ at index 0, expected 0 to 9"):
        load("mnist", data_dir=tmp_path)
