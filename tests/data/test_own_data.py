"""Data of the user's own: pixels and labels of any type, their classes, and test images taken from them."""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpsmnist.data import Dataset, load
from mpsmnist.errors import DatasetError
from support.memory import peak
from support.small_mnist import ARRAYS, LABELS, NAMES, TRAIN, assert_small_set

TEST, TEST_LABELS = ARRAYS[NAMES[2]], ARRAYS[NAMES[3]]
KINDS = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def write(folder: Path, **arrays: np.ndarray) -> Path:
    """Write the small set as plain IDX files of the arrays' types, some of the arrays changed."""
    usual = {
        "train_images": TRAIN,
        "train_labels": LABELS,
        "test_images": TEST,
        "test_labels": TEST_LABELS,
    }
    for array, name in zip((usual | arrays).values(), NAMES, strict=True):
        kind = KINDS[array.dtype.str[1:]]
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
        data = array.astype(array.dtype.newbyteorder(">")).tobytes()
        (folder / name.removesuffix(".gz")).write_bytes(header + data)
    return folder


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "mpsmnist.data")
    return caplog


@pytest.mark.parametrize(
    ("dtype", "scale"), [("<i2", 1), ("<i4", 1), ("<f4", 1), ("<f8", 1), ("<f4", 255), ("<f8", 255)]
)
def test_pixels_of_any_type(tmp_path: Path, told: pytest.LogCaptureFixture, dtype: str, scale: int) -> None:
    images = {"train_images": (TRAIN / scale).astype(dtype), "test_images": (TEST / scale).astype(dtype)}
    assert_small_set(load(data_dir=write(tmp_path, **images)), "custom")
    words = "are taken as they are" if scale == 1 else "are taken times 255"
    assert [words in message for message in told.messages] == [True]


def test_the_scale_is_decided_on_the_whole_set(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    black, grey = np.zeros_like(TRAIN), TEST // 255
    dataset = load(data_dir=write(tmp_path, train_images=black, test_images=grey))
    assert set(np.unique(dataset.test_images)) == {0, 255}
    assert "0 to 1 (uint8), are taken times 255" in told.text
    dataset = load(data_dir=write(tmp_path, train_images=black))
    np.testing.assert_array_equal(dataset.test_images, TEST)


@pytest.mark.parametrize(
    ("dtype", "high", "white"),
    [("u1", 16, 255), ("i1", 127, 255), ("u1", 31, 255), ("f4", 1.0625, 255), ("f8", 1 / 255, 1)],
)
def test_dim_levels_are_stretched(
    tmp_path: Path, told: pytest.LogCaptureFixture, dtype: str, high: float, white: int
) -> None:
    """Scikit-learn's digits, int8, five bits, an overshoot of scaling, and what was divided by 255 twice."""
    steps = np.resize(np.array([0, 1, 1 / 2, 1 / 4]), TRAIN.shape)
    images = (steps * high).astype(dtype)
    expected = np.rint(images.astype(float) * 255 / high).astype(np.uint8)
    dataset = load(data_dir=write(tmp_path, train_images=images, test_images=images[:20]))
    np.testing.assert_array_equal(dataset.train_images, expected)
    np.testing.assert_array_equal(dataset.test_images, expected[:20])
    assert f"no level is above {high:g} of {white}: that is made 255, the others in proportion" in told.text


@pytest.mark.parametrize(("dtype", "high"), [("u1", 128), ("i2", 129), ("f4", 0.5625)])
def test_levels_above_half_are_taken_as_they_are(tmp_path: Path, dtype: str, high: float) -> None:
    images = np.resize(np.array([0, high]), TRAIN.shape).astype(dtype)
    dataset = load(data_dir=write(tmp_path, train_images=images, test_images=images[:20]))
    assert dataset.train_images.max() == np.rint(high * (255 if high < 1 else 1))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (TRAIN.astype(np.float32) - 1, r"its levels are -1 to 254 \(float32\), expected 0 to 1 or 0 to 255"),
        (TRAIN.astype(np.int16) * 2, r"its levels are 0 to 510 \(int16\)"),
        (np.where(TRAIN == 7, np.nan, TRAIN), r"its levels are nan to nan \(float64\)"),
        (np.where(TRAIN == 7, np.inf, TRAIN), r"its levels are 0 to inf \(float64\)"),
    ],
)
def test_numbers_that_are_no_pixels(tmp_path: Path, images: np.ndarray, words: str) -> None:
    name = NAMES[0].removesuffix(".gz")
    with pytest.raises(DatasetError, match=rf"{tmp_path / name}: {words}"):
        load(data_dir=write(tmp_path, train_images=images))


@pytest.mark.parametrize("dtype", ["<i1", "<i2", "<i4", "<f4", "<f8"])
@pytest.mark.parametrize("shape", ["(n,)", "(n, 1)", "one-hot"])
def test_labels_of_any_type(tmp_path: Path, dtype: str, shape: str) -> None:
    labels = {"(n,)": LABELS, "(n, 1)": LABELS[:, None], "one-hot": np.eye(10)[LABELS]}[shape]
    assert_small_set(load(data_dir=write(tmp_path, train_labels=labels.astype(dtype))), "custom")


def test_qmnists_labels(tmp_path: Path) -> None:
    labels = np.stack([LABELS, *[np.arange(30)] * 7], axis=1).astype(np.int32)
    assert_small_set(load(data_dir=write(tmp_path, train_labels=labels)), "custom")


@pytest.mark.parametrize("shape", [(0,), (0, 0), (0, 1), (30, 0), (30, 2), (30, 1, 1)])
def test_labels_of_other_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    labels = np.zeros(shape, np.uint8)
    with pytest.raises(
        DatasetError, match=r"train-labels-idx1-ubyte: (?:0 labels, expected 30|holds an array)"
    ):
        load(data_dir=write(tmp_path, train_labels=labels))


@pytest.mark.parametrize(
    ("label", "dtype", "words"),
    [
        (2.5, "<f4", "label 2.5 at index 3, expected a whole number, 0 to 255"),
        (np.nan, "<f8", "label nan at index 3, expected a whole number, 0 to 255"),
        (-1, "<i4", "label -1 at index 3, expected 0 to 255"),
        (256, "<i2", "label 256 at index 3, expected 0 to 255"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, label: float, dtype: str, words: str) -> None:
    labels = LABELS.astype(dtype)
    labels[3] = label
    with pytest.raises(DatasetError, match=rf"{NAMES[1].removesuffix('.gz')}: {words}"):
        load(data_dir=write(tmp_path, train_labels=labels))


def test_classes_are_counted(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    labels = np.where(LABELS == 3, 11, LABELS).astype(np.uint8)
    dataset = load(data_dir=write(tmp_path, train_labels=labels, test_labels=np.full(20, 4, np.uint8)))
    assert dataset.classes == tuple(str(number) for number in range(12))
    assert "of the 12 classes, 2 have no images: the first is 3 (labels count from 0)" in told.text


def test_labels_that_count_from_1_are_told(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    assert (
        load(data_dir=write(tmp_path, train_labels=LABELS + 1, test_labels=LABELS[:20] + 1)).num_classes == 11
    )
    assert "of the 11 classes, 1 has no images: the first is 0 (labels count from 0)" in told.text


def test_images_and_labels_may_be_swapped(tmp_path: Path) -> None:
    write(tmp_path, train_images=LABELS, train_labels=TRAIN)
    words = rf"{NAMES[0].removesuffix('.gz')}: .*, expected \(n, 28, 28\), .*: are images and labels swapped"
    with pytest.raises(DatasetError, match=words):
        load(data_dir=tmp_path)


def test_the_number_of_classes_may_be_given(tmp_path: Path) -> None:
    write(tmp_path)
    assert load(data_dir=tmp_path, num_classes=12).num_classes == 12
    index = int(np.argmax(LABELS >= 9))
    with pytest.raises(
        DatasetError, match=rf"label 9 at index {index}, expected 0 to 8, as there are 9 classes"
    ):
        load(data_dir=tmp_path, num_classes=9)
    with pytest.raises(DatasetError, match=r"holds mnist, which has 10 classes, but 12 are asked for"):
        load("mnist", data_dir=tmp_path, num_classes=12)
    with pytest.raises(ValueError, match=r"num_classes is 257, expected 1 to 256"):
        load(data_dir=tmp_path, num_classes=257)


@pytest.mark.usefixtures("drawings")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("auto", "mnist has 10"),
        ("emnist-letters", "emnist-letters has 26"),
        ("synthetic", "synthetic has 10"),
    ],
)
def test_another_number_of_classes_than_a_known_dataset_has(name: str, told: str) -> None:
    """It was left out of account, so that a network for 12 classes would have had 10."""
    with pytest.raises(ValueError, match=rf"^num_classes is 12, but {told} classes$"):
        load(name, num_classes=12, offline=True)


def test_the_number_of_classes_that_a_known_dataset_has(drawings: list[int]) -> None:
    assert load("synthetic", num_classes=10).num_classes == 10
    assert drawings == [0]


def without_tests(folder: Path) -> Path:
    for name in NAMES[2:]:
        (folder / name.removesuffix(".gz")).unlink()
    return folder


def pairs(dataset: Dataset, part: str) -> list[tuple[bytes, int]]:
    images, labels = (getattr(dataset, f"{part}_{what}") for what in ("images", "labels"))
    return [(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)]


def test_without_test_files_a_sixth_of_each_class_is_taken(
    tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    images = np.random.default_rng(5).integers(0, 256, (120, 28, 28), np.uint8)
    labels = np.resize(np.array([0, 1, 0, 1, 0, 2, 1, 0, 1, 0], np.uint8), 120)
    folder = without_tests(write(tmp_path, train_images=images, train_labels=labels))
    dataset = load(data_dir=folder)
    assert np.bincount(dataset.test_labels).tolist() == [10, 8, 2]
    everything = sorted(zip(map(np.ndarray.tobytes, images), labels.tolist(), strict=True))
    assert sorted(pairs(dataset, "train") + pairs(dataset, "test")) == everything
    assert "there are no test files: 20 of the 120 images, one sixth of each class" in told.text
    assert pairs(load(data_dir=folder), "test") == pairs(dataset, "test")
    rows = [int(np.argmax((images == image).all(axis=(1, 2)))) for image in dataset.test_images]
    assert rows == PINNED  # or a run that is resumed with another NumPy would have seen its test images


PINNED = [2, 3, 11, 13, 15, 20, 32, 48, 53, 55, 59, 62, 69, 92, 104, 108, 111, 113, 117, 119]


def test_known_sets_have_test_files(tmp_path: Path) -> None:
    without_tests(write(tmp_path))
    with pytest.raises(DatasetError, match=rf"does not contain mnist: missing {NAMES[2]}, {NAMES[3]}"):
        load("mnist", data_dir=tmp_path)


def test_too_few_images_to_take_some(tmp_path: Path) -> None:
    few: dict[str, Any] = {"train_images": TRAIN[:2], "train_labels": np.arange(2, dtype=np.uint8)}
    with pytest.raises(DatasetError, match=r"no test images, and 2 images are too few to take some from"):
        load(data_dir=without_tests(write(tmp_path, **few)))


def test_images_of_another_size_are_scaled_if_asked_for(tmp_path: Path) -> None:
    large = {"train_images": TRAIN.repeat(2, 1).repeat(2, 2), "test_images": TEST.repeat(2, 1).repeat(2, 2)}
    write(tmp_path, **large)
    name = NAMES[0].removesuffix(".gz")
    with pytest.raises(
        DatasetError, match=rf"{name}: 56 x 56 pixels, expected 28 x 28: --resize \(resize=True"
    ):
        load(data_dir=tmp_path)
    assert_small_set(load(data_dir=tmp_path, resize=True), "custom")


def test_large_images_are_converted_a_few_at_a_time(tmp_path: Path) -> None:
    """What is not uint8 becomes floats of 8 bytes on the way."""
    large = np.zeros((20, 700, 700), np.int16)
    large[:, 200:500, 300:400] = 255
    folder = without_tests(write(tmp_path, train_images=large, train_labels=np.zeros(20, np.uint8)))
    assert peak(lambda: load(data_dir=folder, resize=True)) < 2.5 * large.nbytes


def test_how_many_images_are_scaled_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each becomes 784 bytes: of one pixel, a megabyte of gzip data can hold a thousand million."""
    monkeypatch.setattr("mpsmnist.data.images.MAX_UNPACKED", 784 * 29)
    write(tmp_path, train_images=TRAIN[:, 10:20, 10:20])
    with pytest.raises(DatasetError, match=rf"{NAMES[0][:-3]}: 30 images, expected 29 at most to scale"):
        load(data_dir=tmp_path, resize=True)
    assert_small_set(load(data_dir=write(tmp_path), resize=True), "custom")


def test_images_shrink_by_area(tmp_path: Path) -> None:
    block = np.array([[0, 40], [80, 200]], np.uint8)
    images = np.zeros((30, 56, 56), np.uint8)
    images[:, 10:30, 10:30] = np.tile(block, (10, 10))
    write(tmp_path, train_images=images, test_images=images[:20])
    dataset = load(data_dir=tmp_path, resize=True)
    expected = np.zeros((28, 28), np.uint8)
    expected[5:15, 5:15] = block.mean()
    np.testing.assert_array_equal(dataset.train_images[0], expected)


def test_proportions_are_kept_and_short_sides_filled(tmp_path: Path) -> None:
    """A white box, twice as wide as high, on grey: the grey goes on above and below."""
    wide = np.full((30, 14, 28), 9, np.uint8)
    wide[:, 4:10, 8:20] = 250
    dataset = load(data_dir=write(tmp_path, train_images=wide, test_images=wide[:20]), resize=True)
    expected = np.full((28, 28), 9, np.uint8)
    expected[11:17, 8:20] = 250
    np.testing.assert_array_equal(dataset.train_images[0], expected)


def test_dark_on_light_is_inverted_if_most_images_are(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    light = np.zeros((30, 28, 28), np.uint8)
    light[:, 8:20, 8:20] = 250
    dark = 255 - light
    mixed = np.concatenate([dark[:24], light[24:]])
    dataset = load(data_dir=write(tmp_path, train_images=mixed, test_images=dark[:20]))
    np.testing.assert_array_equal(dataset.train_images, 255 - mixed)
    np.testing.assert_array_equal(dataset.test_images, light[:20])
    assert told.messages[-1] == "44 of the 50 images are dark on light: all are inverted"
    mixed = np.concatenate([dark[:25], light[25:]])
    dataset = load(data_dir=write(tmp_path, train_images=mixed, test_images=light[:20]))
    np.testing.assert_array_equal(dataset.train_images, mixed)
    dataset = load("mnist", data_dir=write(tmp_path, train_images=dark, test_images=dark[:20]))
    np.testing.assert_array_equal(dataset.train_images, dark)


def test_custom_data_need_a_folder() -> None:
    with pytest.raises(DatasetError, match=r"custom is data of your own: name its folder with --data-dir"):
        load("custom")
