"""MNIST with few images: its files, the mirrors that have them, and processes that load it."""

from __future__ import annotations

import dataclasses
import fcntl
import gzip
import hashlib
import multiprocessing
from collections.abc import Iterator
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
_random = np.random.default_rng(0)
ARRAYS = {
    NAMES[0]: _random.integers(0, 256, (30, 28, 28), np.uint8),
    NAMES[1]: _random.integers(0, 10, 30, np.uint8),
    NAMES[2]: _random.integers(0, 256, (20, 28, 28), np.uint8),
    NAMES[3]: _random.integers(0, 10, 20, np.uint8),
}
TRAIN, LABELS = ARRAYS[NAMES[0]], ARRAYS[NAMES[1]]
UNPACKED = "mnist.npz"
KEPT = {*NAMES, UNPACKED}  # in the cache
FILES = {name: gzip.compress(idx_bytes(array), mtime=0) for name, array in ARRAYS.items()}


def small_mnist(*urls: str) -> Source:
    """MNIST's entry with few images, to be downloaded from the mirrors at `urls`."""
    sums = {name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in FILES.items()}
    first, second, third, fourth = (single_file(name, sums[name], ARRAYS[name].shape) for name in NAMES)
    return dataclasses.replace(SOURCES["mnist"], mirrors=urls, files=(first, second, third, fourth))


def write_set(folder: Path, **changed: np.ndarray) -> Path:
    """Write the four files of the small set, some of them (by field of Dataset) changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for field, name in zip(FIELDS, NAMES, strict=True):
        array = changed.get(field, ARRAYS[name])
        (folder / name).write_bytes(gzip.compress(idx_bytes(array), mtime=0))
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


def _load_in_child(source: Source, ready: Connection, largest_file: int | None) -> None:
    if largest_file is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    SOURCES["mnist"] = source
    ready.send("ready")
    try:
        assert_small_set(load("mnist"))
    except DatasetError as error:
        ready.send(str(error))
    else:
        ready.send("loaded")


def start_loading(source: Source, largest_file: int | None = None) -> tuple[BaseProcess, Connection]:
    """Load `source` as mnist in a process that says "ready", then "loaded" or its DatasetError."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_load_in_child, args=(source, there, largest_file), daemon=True)
    process.start()
    there.close()
    assert here.recv() == "ready"
    return process, here
