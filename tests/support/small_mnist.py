"""MNIST with few images: its files, the mirrors that have them, and processes that load it."""

from __future__ import annotations

import dataclasses
import fcntl
import gzip
import hashlib
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from mpsmnist.data import Dataset, load
from mpsmnist.data.sources import SOURCES, Source, single_file
from mpsmnist.errors import DatasetError
from support.datasets import idx_bytes

NAMES = tuple(file.name for file in SOURCES["mnist"].files)
FIELDS = ("train_images", "train_labels", "test_images", "test_labels")
UNPACKED = "mnist.npz"
KEPT = {*NAMES, UNPACKED}  # in the cache


def small_arrays(train: int, test: int) -> dict[str, np.ndarray]:
    """What the files of a set with so many images hold, by their names."""
    random = np.random.default_rng(0)
    return {
        NAMES[0]: random.integers(0, 256, (train, 28, 28), np.uint8),
        NAMES[1]: random.integers(0, 10, train, np.uint8),
        NAMES[2]: random.integers(0, 256, (test, 28, 28), np.uint8),
        NAMES[3]: random.integers(0, 10, test, np.uint8),
    }


def packed(arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """The files, as mirrors have them."""
    return {name: gzip.compress(idx_bytes(array), mtime=0) for name, array in arrays.items()}


ARRAYS = small_arrays(30, 20)
TRAIN, LABELS = ARRAYS[NAMES[0]], ARRAYS[NAMES[1]]
FILES = packed(ARRAYS)


def small_mnist(*urls: str, arrays: Mapping[str, np.ndarray] = ARRAYS) -> Source:
    """MNIST's entry with few images, to be downloaded from the mirrors at `urls`."""
    sums = {name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in packed(arrays).items()}
    first, second, third, fourth = (single_file(name, sums[name], arrays[name].shape) for name in NAMES)
    return dataclasses.replace(SOURCES["mnist"], mirrors=urls, files=(first, second, third, fourth))


def write_downloads(folder: Path) -> Path:
    """Write the four files as mirrors have them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    return folder


def write_set(folder: Path, **changed: np.ndarray) -> Path:
    """Write the four files, some (by field of Dataset) changed, none with the sum of a download."""
    folder.mkdir(parents=True, exist_ok=True)
    for field, name in zip(FIELDS, NAMES, strict=True):
        array = changed.get(field, ARRAYS[name])
        (folder / name).write_bytes(gzip.compress(idx_bytes(array), mtime=1))
    return folder


def assert_small_set(dataset: Dataset, name: str = "mnist") -> None:
    assert (dataset.name, dataset.num_classes) == (name, 10)
    for field, array in zip(FIELDS, ARRAYS.values(), strict=True):
        np.testing.assert_array_equal(getattr(dataset, field), array)


def in_cache(cache: Path) -> set[str]:
    """The names of mnist's files in the cache, including temporary ones."""
    return {path.name for path in (cache / "mnist").iterdir()} - {".lock"}


@contextmanager
def holding_the_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder of the cache, as another process would."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _load_in_child(source: Source, ready: Connection, largest_file: int | None, processes: int) -> None:
    if largest_file is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    SOURCES["mnist"] = source
    ready.send("ready")
    for _ in range(processes - 1):
        if os.fork() == 0:
            break
    try:
        assert_small_set(load("mnist"))
    except DatasetError as error:
        ready.send(str(error))
    else:
        ready.send("loaded")


def start_loading(
    source: Source, largest_file: int | None = None, processes: int = 1
) -> tuple[BaseProcess, Connection]:
    """Load `source` as mnist in a process that says "ready", then "loaded" or its DatasetError.

    With more `processes`, it becomes so many, each of which says how it went.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(
        target=_load_in_child, args=(source, there, largest_file, processes), daemon=True
    )
    process.start()
    there.close()
    assert here.recv() == "ready"
    return process, here
