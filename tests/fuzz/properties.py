"""The properties of whatever reads files of the user's own, and arrays to write."""

from __future__ import annotations

import atexit
import contextlib
import functools
import tempfile
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpsmnist.data import Dataset
from mpsmnist.data.folder import read_folder
from mpsmnist.errors import DatasetError

T = TypeVar("T")
FIXED = 1 << 22  # bytes of memory that any file may take
INTEGERS = ("u1", "i1", "i2", "i4", "u2", "u4", "i8", "u8")


@functools.cache
def _kept_folder(name: str) -> Path:
    folder = tempfile.TemporaryDirectory(prefix=name)
    atexit.register(folder.cleanup)
    return Path(folder.name)


@contextlib.contextmanager
def some_folder(name: str) -> Iterator[Path]:
    """A folder without files, the same for the same name: to make and remove one can take milliseconds."""
    folder = _kept_folder(name)
    try:
        yield folder
    finally:
        for path in folder.rglob("*"):
            if path.is_file():
                path.unlink()


def read_or_refuse(read: Callable[[], T], folder: Path, most: int) -> T | None:
    """Return what `read` returns, or None if it raises a DatasetError that names a file in `folder`.

    No other exception, no warning, no word that a terminal would obey, and at most `most` bytes of memory.
    """
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = read()
    except DatasetError as error:
        result, message = None, str(error)
        assert str(folder) in message
        assert message.replace("\n", "").isprintable(), ascii(message)
        assert len(message.replace(str(folder), "")) < 1000, message
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= most, f"{peak} bytes of memory, expected at most {most}"
    return result


def load_or_refuse(folder: Path, most: int, *, resize: bool) -> None:
    """Load all that is in `folder`; what is loaded must be a dataset that can be trained on."""
    dataset = read_or_refuse(lambda: read_folder("auto", folder, resize=resize), folder, most)
    if dataset is None:
        return
    for images, labels in pairs(dataset):
        assert (images.dtype, images.shape) == (np.uint8, (len(labels), 28, 28))
        assert (labels.dtype, labels.ndim) == (np.uint8, 1)
        assert len(labels) > 0
        assert labels.max() < dataset.num_classes


def pairs(dataset: Dataset) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    return [(dataset.train_images, dataset.train_labels), (dataset.test_images, dataset.test_labels)]


def assert_same(found: NDArray[Any], expected: NDArray[Any]) -> None:
    """The same type but for its byte order, shape and values, NaNs included."""
    assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)


@dataclass(frozen=True)
class Written:
    """Images and labels to write, and what reading them gives.

    Attributes:
        images: (n, h, w) of any type, at levels of 0 to 1 or 0 to 255.
        labels: (n,) of any type.
        expected_images: uint8 (n, 28, 28).
        expected_labels: uint8 (n,).
        resize: whether --resize is needed.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    expected_images: NDArray[np.uint8]
    expected_labels: NDArray[np.uint8]
    resize: bool


@st.composite
def written_sets(
    draw: st.DrawFn,
    types: tuple[str, ...] = (*INTEGERS, "f2", "f4", "f8"),
    label_types: tuple[str, ...] = INTEGERS,
    orders: str = "<>",
) -> Written:
    """Light squares on black: any numbers of the given types, from 28x28 to three times that."""
    number = draw(st.integers(3, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = np.zeros((number, 28, 28), np.uint8)
    levels[:, 4:24, 4:24] = random.integers(0, 256, (number, 20, 20))
    levels[0, 14, 14] = 255
    dtype = np.dtype(draw(st.sampled_from(types)))
    cannot_hold_255 = dtype in (np.int8, np.bool_)
    by = 255 if cannot_hold_255 else draw(st.sampled_from([1, 255]))
    if by == 255 and dtype.kind != "f":  # whole levels of 0 to 1
        levels = levels // 128 * 255
    times = draw(st.sampled_from([1, 1, 2, 3]))
    images = (levels / by).astype(dtype.newbyteorder(draw(st.sampled_from(orders))))
    labels = np.array(draw(st.lists(st.integers(0, 127), min_size=number, max_size=number)))
    label_type = np.dtype(draw(st.sampled_from(label_types))).newbyteorder(draw(st.sampled_from(orders)))
    return Written(
        images.repeat(times, 1).repeat(times, 2),
        labels.astype(label_type),
        levels,
        labels.astype(np.uint8),
        times > 1,
    )


def assert_round_trip(folder: Path, written: Written) -> None:
    """What is in `folder`, as training and as test data, is what was written."""
    dataset = read_folder("auto", folder, resize=written.resize)
    for images, labels in pairs(dataset):
        assert_same(images, written.expected_images)
        assert_same(labels, written.expected_labels)
