"""NumPy archives and tables of the user's own."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mpsmnist.data import load
from mpsmnist.errors import DatasetError
from support.memory import peak
from support.small_mnist import ARRAYS, LABELS, NAMES, TRAIN, assert_small_set

TEST, TEST_LABELS = ARRAYS[NAMES[2]], ARRAYS[NAMES[3]]
KERAS = {"x_train": TRAIN, "y_train": LABELS, "x_test": TEST, "y_test": TEST_LABELS}
FIELDS = ("train_images", "train_labels", "test_images", "test_labels")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "mpsmnist.data")
    return caplog


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_as_keras_has_it(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "mnist.npz", **KERAS)
    dataset = load(data_dir=tmp_path)
    assert_small_set(dataset, "custom")
    assert dataset.source == str(tmp_path / "mnist.npz")


def test_npz_with_the_names_of_datasets_fields(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.NPZ", **dict(zip(FIELDS, KERAS.values(), strict=True)))
    (tmp_path / "a.NPZ.npz").rename(tmp_path / "a.NPZ")
    assert_small_set(load(data_dir=tmp_path), "custom")


def test_npz_of_other_types_and_orders(tmp_path: Path) -> None:
    arrays = KERAS | {
        "x_train": np.asfortranarray((TRAIN / 255).reshape(30, 784).astype(">f4")),
        "x_test": (TEST / 255)[..., None],
        "y_train": LABELS.astype(">i8")[:, None],
        "y_test": np.eye(10)[TEST_LABELS],
    }
    np.savez(tmp_path / "mnist.npz", **arrays)
    assert_small_set(load(data_dir=tmp_path), "custom")


def test_npz_without_test_data(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=TRAIN, y_train=LABELS // 5)
    dataset = load(data_dir=tmp_path)
    assert len(dataset.test_images) + len(dataset.train_images) == 30
    assert "there are no test files: 5 of the 30 images" in told.text


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\0") -> bytes:
    padded = header.encode() + b" " * (118 - len(header) - 1) + b"\n"
    return b"\x93NUMPY" + version + len(padded).to_bytes(2, "little") + padded + data


def archive(path: Path, compression: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name in ("y_train", "x_test", "y_test"):
            buffer = io.BytesIO()
            np.save(buffer, KERAS[name])
            file.writestr(f"{name}.npy", buffer.getvalue())
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


HUGE = "{'descr': '|u1', 'fortran_order': False, 'shape': (5000000000, 28, 28), }"
SMALL = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 28, 28), }"
BAD_ARRAYS = {
    "huge": (npy(HUGE), "its header declares uint8 of shape .5000000000, 28, 28., .* hold at most 128"),
    "pickle": (
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n"),
        "holds pickled objects, expected numbers",
    ),
    "words": (
        npy("{'descr': '<U5', 'fortran_order': False, 'shape': (0,), }"),
        "holds <U5, expected numbers",
    ),
    "negative": (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }"), "damaged: "),
    "zeros": (
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 9999999999, 9999999999), }"),
        "damaged",
    ),
    "no header": (b"hello", "damaged: "),
    "version": (npy(HUGE, version=b"\x07\0"), "damaged: |version"),
    "header": (npy("__import__('os').getpid()"), "damaged: "),
    "nothing": (b"", "damaged: "),
    "long words": (npy("to be or not " * 70), "damaged: "),
    "nested": (npy("-" * 900 + "1"), "damaged: "),
    "nested deeply": (npy("-" * 9000 + "1"), "damaged: "),  # a MemoryError of Python's parser
    "long header": (
        b"\x93NUMPY\x02\0" + (8 << 20).to_bytes(4, "little") + b" " * (8 << 20),
        "damaged: .*expected 8388608 bytes",
    ),
    "no items": (
        npy("{'descr': '|V0', 'fortran_order': False, 'shape': (9999999999, 28, 28), }"),
        "holds .V0, expected numbers",
    ),
    "short": (npy(SMALL, bytes(783)), "its header declares .* 784 bytes, but it can hold at most|truncated"),
    "long": (npy(SMALL, bytes(785)), "x_train: has bytes after the 784 of uint8 of shape .1, 28, 28."),
}


@pytest.mark.parametrize(("member", "words"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_bad_arrays(tmp_path: Path, member: bytes, words: str, compression: int) -> None:
    path = archive(tmp_path / "mnist.npz", compression, x_train=member)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=rf"^{re.escape(str(path))}: .*(?:{words})") as caught:
            load(data_dir=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        assert len(str(caught.value)) < len(str(path)) + 300
    finally:
        tracemalloc.stop()


def test_what_an_archive_unpacks_to_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpsmnist.data.npz.MAX_UNPACKED", 1 << 16)
    np.savez_compressed(tmp_path / "mnist.npz", **KERAS | {"x_train": np.zeros((100, 28, 28), np.uint8)})
    with pytest.raises(DatasetError, match=r"x_train: .*, 78400 bytes, but it can hold at most 65536"):
        load(data_dir=tmp_path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_is_noticed_or_harmless(tmp_path: Path, save: Callable[..., None]) -> None:
    path = tmp_path / "mnist.npz"
    images, labels = TRAIN[:6] // 64 * 64, np.zeros(6, np.uint8)
    save(path, x_train=images, y_train=labels)
    data = path.read_bytes()
    for length in range(0, len(data), 41):
        path.write_bytes(data[:length])
        with pytest.raises(DatasetError, match=r"mnist.npz: "):
            load(data_dir=tmp_path)
    for position in range(0, len(data), 13):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        with contextlib.suppress(DatasetError):
            dataset = load(data_dir=tmp_path)
            assert len(dataset.train_images) == 5
            assert set(np.unique(dataset.train_images)) <= set(np.unique(images))


def test_npz_that_python_2_wrote(tmp_path: Path) -> None:
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (30L, 28L, 28L), }"
    with zipfile.ZipFile(tmp_path / "mnist.npz", "w") as file:
        file.writestr("x_train.npy", npy(header, TRAIN.tobytes()))
        for name in ("y_train", "x_test", "y_test"):
            buffer = io.BytesIO()
            np.save(buffer, KERAS[name])
            file.writestr(f"{name}.npy", buffer.getvalue())
    assert_small_set(load(data_dir=tmp_path), "custom")


@pytest.mark.parametrize(("dtype", "scale"), [("u1", 1), ("f4", 255)])
def test_npz_in_colour(tmp_path: Path, told: pytest.LogCaptureFixture, dtype: str, scale: int) -> None:
    """As pictures are made grey: by the weights of ITU-R BT.601, which for equal colours leave the level."""
    colours = np.stack([TRAIN, TRAIN[::-1], TRAIN.transpose(0, 2, 1)], 3)
    expected = np.array([Image.fromarray(image).convert("L") for image in colours])
    images = {
        "x_train": (colours / scale).astype(dtype),
        "x_test": np.stack([TEST / scale] * 3, 3).astype(dtype),
    }
    np.savez(tmp_path / "cifar.npz", **KERAS | images)
    dataset = load(data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images, expected)
    np.testing.assert_array_equal(dataset.test_images, TEST)
    assert f"{tmp_path / 'cifar.npz'}: x_train: its colours are made grey" in told.messages


def test_npz_in_colour_and_of_another_size(tmp_path: Path) -> None:
    large = TRAIN.repeat(2, 1).repeat(2, 2)
    np.savez(tmp_path / "cifar.npz", **KERAS | {"x_train": np.stack([large] * 3, 3)})
    with pytest.raises(DatasetError, match=r"x_train: 56 x 56 pixels, expected 28 x 28: --resize"):
        load(data_dir=tmp_path)
    assert_small_set(load(data_dir=tmp_path, resize=True), "custom")


@pytest.mark.parametrize("shape", [(30, 28, 28, 2), (30, 3, 28, 28), (30, 28, 28, 1, 1), (30,)])
def test_npz_of_other_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "a.npz", **KERAS | {"x_train": np.ones(shape, np.uint8)})
    expected = "(n, 28, 28), (n, 784) or, in colour, (n, 28, 28, 3)"
    words = f"x_train: holds an array of shape {shape}, expected {expected}"
    with pytest.raises(DatasetError, match=re.escape(words)):
        load(data_dir=tmp_path)


def test_other_archives(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(path, arr_0=TRAIN)
    with pytest.raises(DatasetError, match=r"mnist.npz: has arr_0, expected x_train and y_train"):
        load(data_dir=tmp_path)
    np.savez(path, **{f"\x1b[31m{index:02}": LABELS for index in range(14)})
    with pytest.raises(DatasetError, match=r"has \\x1b\[31m00, \\x1b.*31m11 and 2 more, expected x_train"):
        load(data_dir=tmp_path)
    np.savez(path, x_train=TRAIN, y_train=LABELS, x_test=TEST)
    with pytest.raises(DatasetError, match=r"mnist.npz: has no y_test"):
        load(data_dir=tmp_path)
    path.write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(DatasetError, match=r"it is an HTML or XML page.*, expected a NumPy archive"):
        load(data_dir=tmp_path)
    (tmp_path / "other.npz").touch()
    with pytest.raises(DatasetError, match=r"has several archives, expected one: mnist.npz, other.npz"):
        load(data_dir=tmp_path)


HEADER = "label," + ",".join(f"pixel{index}" for index in range(784))


def table(images: np.ndarray, labels: np.ndarray, header: str | None = HEADER) -> str:
    rows = np.column_stack([labels, images.reshape(len(images), -1)])
    lines = [] if header is None else [header]
    return "\n".join([*lines, *(",".join(map(str, row)) for row in rows.tolist())]) + "\n"


@pytest.mark.parametrize("header", [HEADER, None, f'"{HEADER}"'.replace(",", '","')])
@pytest.mark.parametrize("names", [("train", "test"), ("mnist_train", "mnist_test"), ("Training", "TEST")])
def test_csv(tmp_path: Path, header: str | None, names: tuple[str, str]) -> None:
    (tmp_path / f"{names[0]}.csv").write_text(table(TRAIN, LABELS, header), "utf-8-sig")
    (tmp_path / f"{names[1]}.csv").write_text(table(TEST, TEST_LABELS, header).replace("\n", "\r\n\r\n"))
    (tmp_path / "sample_submission.csv").write_text("ImageId,Label\n")
    assert_small_set(load(data_dir=tmp_path), "custom")


def test_csv_of_kaggles_competition_has_no_test_labels(
    tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "train.csv").write_text(table(TRAIN, LABELS // 5))
    rows = table(TEST, TEST_LABELS).splitlines()
    (tmp_path / "test.csv").write_text("\n".join(row.split(",", 1)[1] for row in rows))
    dataset = load(data_dir=tmp_path)
    assert len(dataset.test_images) + len(dataset.train_images) == 30
    assert [message.split(": ")[0] for message in told.messages if "reading" not in message] == [
        f"{tmp_path / 'test.csv'} has no labels, as in Kaggle's competition",
        "there are no test files",
    ]
    (tmp_path / "train.csv").unlink()
    (tmp_path / "test.csv").rename(tmp_path / "digits.csv")
    with pytest.raises(
        DatasetError, match=r"digits.csv: has no labels, expected a column 'label' or labels f"
    ):
        load(data_dir=tmp_path)


def test_csv_whose_columns_are_in_another_order(tmp_path: Path) -> None:
    """As OpenML has it (the class last), numbered by pandas, and sorted by the letters of the names."""
    order = sorted(range(784), key=str)
    header = ",".join(["", *(f"pixel{index}" for index in order), "class"])
    rows = [
        ",".join(map(str, [row, *image.ravel()[order], float(label)]))
        for row, (image, label) in enumerate(zip(TRAIN, LABELS, strict=True))
    ]
    (tmp_path / "mnist_784.csv").write_text("\n".join([header, *rows]))
    (tmp_path / "test.csv").write_text(table(TEST, TEST_LABELS))
    (tmp_path / "mnist_784.csv").rename(tmp_path / "train.csv")
    assert_small_set(load(data_dir=tmp_path), "custom")


def test_csv_of_levels_to_1(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(table(TRAIN / 255, LABELS))
    (tmp_path / "test.csv").write_text(table(TEST / 255, TEST_LABELS))
    assert_small_set(load(data_dir=tmp_path), "custom")


def test_tables_named_as_a_known_set_are_that(tmp_path: Path) -> None:
    """Kaggle's tables of EMNIST have its quirks: they are transposed, and letters count from 1."""
    for part, images, labels in (("train", TRAIN, LABELS), ("test", TEST, TEST_LABELS)):
        path = tmp_path / f"emnist-letters-{part}.csv"
        path.write_text(table(images.transpose(0, 2, 1).reshape(len(images), -1), labels + 1, None))
    dataset = load(data_dir=tmp_path)
    assert (dataset.name, dataset.classes[0]) == ("emnist-letters", "A")
    np.testing.assert_array_equal(dataset.train_images, TRAIN)
    np.testing.assert_array_equal(dataset.test_labels, TEST_LABELS)
    assert load("custom", data_dir=tmp_path).num_classes == LABELS.max() + 2


GOOD = table(TRAIN[:3], LABELS[:3])
BAD_TABLES = {
    "empty": ("", "it is an empty file"),
    "html": ("<html>", "it is an HTML or XML page"),
    "header only": (HEADER, "has a header, but no lines of numbers"),
    "words": (
        "to be, or not\nto be",
        "its first line is a header without 'label', expected a label, which is a number",
    ),
    "one number": ("7", "its first line has 0 levels, expected a label, which is a number, and 784 levels"),
    "short line": (GOOD + "1,2,3\n", r"line 5 \(blank ones not counted\) has 3 fields, expected 785 numbers"),
    "one field": (GOOD + "5\n", r"line 5 \(blank ones not counted\) has 1 fields, expected 785 numbers"),
    "word": (GOOD.replace(f"\n{LABELS[1]},", "\nseven,", 1), "has a field that is no number"),
    "underscore": (GOOD.replace("\n", "\n1_", 1), "line 2 .* has a field that is no number"),
    "large level": (GOOD.rstrip().rsplit(",", 1)[0] + ",1e300", "its levels are 0 to inf"),
    "large label": (GOOD + "1e300" + ",9" * 784, "label inf at index 3, expected a whole number"),
    "no number": (GOOD.replace(f"\n{LABELS[0]},", "\nnan,", 1), "label nan at index 0, expected a whole"),
    "one level": ("7,0", "its first line has 1 level, "),
    "binary": ("\0\x01\x02" * 500, "its first line is a header without 'label', "),
    "semicolons": (
        GOOD.replace(",", ";"),
        "is a header without 'label', .* with commas between",
    ),
    "letters": (f"a{',0' * 784}\n", "its first line is a header without 'label', .* which is a number"),
    "negative": (table(-TRAIN[:3].astype(int), LABELS[:3]), r"its levels are -255 to 0"),
}


@pytest.mark.parametrize(("content", "words"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text(content)
    with pytest.raises(DatasetError, match=rf"^{re.escape(str(path))}: .*{words}"):
        load(data_dir=tmp_path)


@pytest.mark.parametrize(("field", "rows", "times"), [("0,", 2000, 2), ("0.5,", 1000, 2.5)])
def test_a_table_takes_a_few_times_its_size(tmp_path: Path, field: str, rows: int, times: float) -> None:
    """Whole numbers become bytes, others floats; there are two of each as blocks are put together."""
    (tmp_path / "train.csv").write_text(("1," + field * 783 + "1\n") * rows)
    size = (tmp_path / "train.csv").stat().st_size
    assert peak(lambda: load(data_dir=tmp_path)) < times * size


def test_long_lines_are_parsed_a_few_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(("1," + "0," * (200**2 - 1) + "1\n") * 60)
    size = (tmp_path / "train.csv").stat().st_size
    assert peak(lambda: load(data_dir=tmp_path, resize=True)) < 3 * size


def test_an_endless_line_is_not_read_into_memory(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(b"1," * (8 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=r"line 1 has more than 1,048,576 bytes, expected 785 numbers"):
            load(data_dir=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_which_tables_is_not_guessed(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(DatasetError, match=r"expected train.csv and perhaps test.csv, has a.csv, b.csv"):
        load(data_dir=tmp_path)
