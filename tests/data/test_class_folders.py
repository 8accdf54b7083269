"""Folders of pictures, one for each class."""

from __future__ import annotations

import contextlib
import logging
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mpsmnist.data import load
from mpsmnist.errors import DatasetError
from support.memory import peak
from support.small_mnist import ARRAYS, LABELS, NAMES, TRAIN

TEST, TEST_LABELS = ARRAYS[NAMES[2]], ARRAYS[NAMES[3]]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "mpsmnist.data")
    return caplog


def write(folder: Path, images: np.ndarray, labels: np.ndarray, suffix: str = "png") -> Path:
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / str(label) / f"{index:03}.{suffix}")
    return folder


def sorted_pairs(images: np.ndarray, labels: np.ndarray) -> list[tuple[int, bytes]]:
    return sorted((int(label), image.tobytes()) for image, label in zip(images, labels, strict=True))


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "testing")])
@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "tif", "pgm"])
@pytest.mark.parametrize("above", ["", "mnist_png"])
def test_pictures_in_folders_of_their_classes(
    tmp_path: Path, names: tuple[str, str], suffix: str, above: str
) -> None:
    order, test_order = np.argsort(LABELS, kind="stable"), np.argsort(TEST_LABELS, kind="stable")
    write(tmp_path / above / names[0], TRAIN, LABELS, suffix)
    write(tmp_path / above / names[1], TEST, TEST_LABELS, suffix)
    dataset = load(data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images, TRAIN[order])
    np.testing.assert_array_equal(dataset.train_labels, LABELS[order])
    np.testing.assert_array_equal(dataset.test_images, TEST[test_order])
    np.testing.assert_array_equal(dataset.test_labels, TEST_LABELS[test_order])
    assert (dataset.name, dataset.classes) == ("custom", tuple("0123456789"))


def test_what_is_no_picture_of_a_class_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, TRAIN, LABELS)
    write(tmp_path / "val", TRAIN, LABELS)
    for path in (".git/x.png", "__MACOSX/x.png", "empty/notes.txt", "0/.hidden.png", "1/Thumbs.db", "x.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    dataset = load(data_dir=tmp_path)
    images = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    assert sorted_pairs(images, labels) == sorted_pairs(TRAIN, LABELS)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "9", "2"], ("2", "9", "10")),
        (["cat", "Ant", "7", "10"], ("7", "10", "Ant", "cat")),
        (["²", "1"], ("1", "²")),
    ],
)
def test_classes_are_sorted(tmp_path: Path, names: list[str], expected: tuple[str, ...]) -> None:
    labels = np.resize(np.array(names), 30)
    dataset = load(data_dir=write(tmp_path, TRAIN, labels))
    assert dataset.classes == expected
    names_of = [dataset.classes[label] for label in dataset.train_labels]
    found = sorted(zip(names_of, map(np.ndarray.tobytes, dataset.train_images), strict=True))
    assert set(found) <= set(zip(labels.tolist(), map(np.ndarray.tobytes, TRAIN), strict=True))


MODES = {
    "RGB": lambda image: image.convert("RGB"),
    "palette": lambda image: image.convert("P"),
    "grey with alpha": lambda image: image.convert("LA"),
    "16 bits": lambda image: Image.fromarray(np.asarray(image).astype(np.uint16) * 257),
    "light ink on nothing": lambda image: Image.merge("LA", [Image.new("L", (28, 28), 255), image]),
}


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_other_modes(tmp_path: Path, mode: str) -> None:
    (tmp_path / "0").mkdir()
    for index in range(3):
        digit = np.zeros((28, 28), np.uint8)
        digit[4:24, 10 + index : 16] = np.linspace(20, 255, 20, dtype=np.uint8)[:, None]
        MODES[mode](Image.fromarray(digit)).save(tmp_path / "0" / f"{index}.png")
    dataset = load(data_dir=tmp_path)
    assert dataset.train_images[0, 4:24, 12].tolist() == np.linspace(20, 255, 20, dtype=np.uint8).tolist()
    assert dataset.train_images[0, 0].max() == 0


def test_dark_ink_on_nothing_is_dark_on_light(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    (tmp_path / "0").mkdir()
    for index in range(3):
        alpha = np.zeros((28, 28), np.uint8)
        alpha[4:24, 10 + index : 16] = 200
        ink = Image.merge("LA", [Image.new("L", (28, 28), 0), Image.fromarray(alpha)])
        ink.save(tmp_path / "0" / f"{index}.png")
    dataset = load(data_dir=tmp_path)
    assert dataset.train_images[0, 10, 5] == 0
    assert dataset.train_images[0, 10, 14] == 200
    assert "3 of the 3 images are dark on light: all are inverted" in told.text


def test_other_sizes_are_scaled_if_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path, TRAIN.repeat(3, 1).repeat(3, 2), LABELS // 5)
    first = re.escape(str(folder / "0" / min(path.name for path in (folder / "0").iterdir())))
    with pytest.raises(DatasetError, match=rf"^{first}: 84 x 84 pixels, expected 28 x 28: --resize"):
        load(data_dir=folder)
    dataset = load(data_dir=folder, resize=True)
    images = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    assert sorted_pairs(images, labels) == sorted_pairs(TRAIN, LABELS // 5)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


BOMB = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(1000)))
    + chunk(b"IEND", b"")
)
BAD = {
    "bomb": (BOMB, "pixels, more than 134,217,728|30000 x 30000 pixels|900,000,000 pixels"),
    "empty": (b"", "it is an empty file"),
    "html": (b"<!DOCTYPE html>", "it is an HTML or XML page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
    "idx": (bytes((0, 0, 8, 1, 0, 0, 0, 1, 0)), "neither a picture that can be read"),
    "cut": (None, "cannot be read: "),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("resize", [False, True])
def test_bad_pictures(tmp_path: Path, content: bytes | None, words: str, resize: bool) -> None:
    path = write(tmp_path, TRAIN, LABELS) / "0" / "zzz.png"
    whole = next(tmp_path.glob("0/*.png")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(DatasetError, match=rf"^{re.escape(str(path))}: .*(?:{words})"):
        load(data_dir=tmp_path, resize=resize)


def test_a_chunk_that_claims_gigabytes(tmp_path: Path) -> None:
    path = write(tmp_path, TRAIN[:4], LABELS[:4] // 10) / "0" / "zzz.png"
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0))
    pixels = struct.pack(">I", 0x60000000) + b"IDAT" + zlib.compress(bytes(28 * 29)) + bytes(99)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels)

    def read() -> None:
        with contextlib.suppress(DatasetError):  # some versions of Pillow make do with it
            load(data_dir=tmp_path)

    assert peak(read) < 4 << 20


def test_large_files_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, TRAIN[:4], LABELS[:4] // 10) / "0" / "zzz.png"
    with path.open("ab") as file:
        file.truncate(1 << 42)
    with pytest.raises(DatasetError, match=r"zzz.png: 4,398,046,511,104 bytes, expected a picture of"):
        load(data_dir=tmp_path)


def test_the_first_frame_counts(tmp_path: Path) -> None:
    for index, image in enumerate(TRAIN):
        (tmp_path / str(LABELS[index])).mkdir(exist_ok=True)
        others = [Image.fromarray(255 - image)]
        path = tmp_path / str(LABELS[index]) / f"{index:03}.tif"
        Image.fromarray(image).save(path, save_all=True, append_images=others)
    dataset = load(data_dir=tmp_path)
    images = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    assert sorted_pairs(images, labels) == sorted_pairs(TRAIN, LABELS)


def test_test_classes_are_training_classes(tmp_path: Path) -> None:
    write(tmp_path / "train", TRAIN, LABELS % 3)
    write(tmp_path / "test", TEST, TEST_LABELS % 4)
    with pytest.raises(DatasetError, match=r"test: has the class '3', expected those of .*train: 0, 1, 2"):
        load(data_dir=tmp_path)


def test_a_known_sets_classes(tmp_path: Path) -> None:
    write(tmp_path, TRAIN, LABELS)
    assert load("mnist", data_dir=tmp_path).name == "mnist"
    (tmp_path / "9").rename(tmp_path / "nine")
    with pytest.raises(
        DatasetError, match=r"has the classes 0, .*, nine, expected those of mnist, 0, .* 9: "
    ):
        load("mnist", data_dir=tmp_path)
    with pytest.raises(DatasetError, match=r"has 10 classes, but 12 are asked for"):
        load("custom", data_dir=tmp_path, num_classes=12)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "\udcff", "\N{ZERO WIDTH SPACE}", " "])
def test_names_that_cannot_be_printed(tmp_path: Path, name: str) -> None:
    """A checkpoint could not have the third, and the second would colour whoever prints predictions."""
    Image.fromarray(TRAIN[0]).save(tmp_path / "a.png")
    for folder in (name, "good"):
        (tmp_path / "all" / folder).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "all" / folder / f"{number}.png").write_bytes((tmp_path / "a.png").read_bytes())
    words = f"all: the name of the class {name!a} cannot be printed: rename it"
    with pytest.raises(DatasetError, match=re.escape(words)):
        load(data_dir=tmp_path / "all")


def test_too_many_classes(tmp_path: Path) -> None:
    picture = (write(tmp_path / "some", TRAIN[:1], LABELS[:1]) / str(LABELS[0]) / "000.png").read_bytes()
    for number in range(257):
        (tmp_path / "all" / str(number)).mkdir(parents=True)
        (tmp_path / "all" / str(number) / "a.png").write_bytes(picture)
    with pytest.raises(DatasetError, match=r"has 257 folders of pictures, expected at most 256"):
        load(data_dir=tmp_path / "all")
