"""The file of the cache that a dataset's arrays are mapped from."""

from __future__ import annotations

import errno
import mmap
import os
import pickle
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mpsmnist
from mpsmnist.data.arrays import FIELDS, Arrays, read_arrays, write_arrays
from mpsmnist.data.cache import CacheError

MADE_FROM = "what it was made from"


def some_arrays(train: int = 2, test: int = 1, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    made = (
        array
        for n in (train, test)
        for array in (rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n, np.uint8))
    )
    return dict(zip(FIELDS, made, strict=True))


def read(path: Path) -> Arrays | None:
    return read_arrays(path, MADE_FROM, 10)


def same(found: Arrays, expected: Arrays) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == array.dtype and np.array_equal(found[name], array)
        for name, array in expected.items()
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_arrays(tmp_path / "set.npz", some_arrays(), MADE_FROM, 10)
    return tmp_path / "set.npz"


def test_what_is_written_is_read_here_and_by_numpy(tmp_path: Path) -> None:
    written = write_arrays(tmp_path / "set.npz", some_arrays(), MADE_FROM, 10)
    found = read(tmp_path / "set.npz")
    assert found is not None
    assert same(written, some_arrays())
    assert same(found, some_arrays())
    with np.load(tmp_path / "set.npz") as archive:
        assert same({name: archive[name] for name in FIELDS}, some_arrays())
        assert archive["made_from"] == MADE_FROM


def root_of(array: object) -> object:
    while (base := getattr(array, "base", None) if isinstance(array, np.ndarray) else None) is not None:
        array = base
    return array.obj if isinstance(array, memoryview) else array


def test_they_are_mapped_and_as_plain_as_any(path: Path) -> None:
    found = read(path)
    assert found is not None
    for array in found.values():
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert isinstance(root_of(array), mmap.mmap)


def test_large_ones_take_no_memory(tmp_path: Path) -> None:
    large = some_arrays(40_000)  # 31 MB
    tracemalloc.start()
    try:
        written = write_arrays(tmp_path / "set.npz", large, MADE_FROM, 10)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20  # NumPy's buffers for writing: twice 16 MB
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        found = read(tmp_path / "set.npz")
        assert tracemalloc.get_traced_memory()[1] - before < 1 << 20
    finally:
        tracemalloc.stop()
    assert found is not None
    assert same(found, large)
    assert same(written, large)


def test_changes_are_the_callers_own(path: Path) -> None:
    before = path.read_bytes()
    first, second = read(path), read(path)
    assert first is not None
    assert second is not None
    first["train_images"][:] = 7
    assert path.read_bytes() == before
    assert same(second, some_arrays())
    assert (first["train_images"] == 7).all()


def test_they_outlive_the_file(path: Path) -> None:
    old = read(path)
    assert old is not None
    write_arrays(path, some_arrays(seed=1), MADE_FROM, 10)
    new = read(path)
    path.unlink()
    assert new is not None
    assert same(old, some_arrays())
    assert same(new, some_arrays(seed=1))


def test_pickles_have_the_arrays(path: Path) -> None:
    found = read(path)
    path.unlink()
    assert found is not None
    assert same(pickle.loads(pickle.dumps(found)), some_arrays())


def test_a_trainer_takes_them_as_any_others_from_several_threads(tmp_path: Path) -> None:
    plain = some_arrays(64)
    mapped = write_arrays(tmp_path / "set.npz", plain, MADE_FROM, 10)
    batches = np.arange(64).reshape(4, 16)
    losses: dict[str, np.ndarray] = {}

    def run(name: str, data: Arrays) -> None:
        trainer = mpsmnist.Trainer(device="cpu", threads=1)
        losses[name] = trainer.run(data["train_images"], data["train_labels"], batches)

    run("plain", plain)
    threads = [threading.Thread(target=run, args=(str(number), mapped)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({loss.tobytes() for loss in losses.values()}) == 1
    assert len(losses) == 4


def test_a_file_with_any_byte_changed_is_not_believed(path: Path) -> None:
    """Some bytes say nothing about the arrays, such as the time: the arrays may be read, but no others."""
    data = path.read_bytes()
    assert len(data) < 8192
    refused = 0
    for index in range(0, len(data), 3):
        path.write_bytes(data[:index] + bytes([data[index] ^ 0x55]) + data[index + 1 :])
        found = read(path)
        assert found is None or same(found, some_arrays())
        refused += found is None
    assert refused > sum(array.nbytes for array in some_arrays().values()) // 3


def test_a_file_that_is_cut_anywhere_is_not_believed(path: Path) -> None:
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert read(path) is None


OTHERS: dict[str, Callable[[Arrays], dict[str, object]]] = {
    "no arrays": lambda arrays: {},
    "an array less": lambda arrays: {name: arrays[name] for name in FIELDS[:3]},
    "fewer labels": lambda arrays: arrays | {"train_labels": arrays["train_labels"][1:]},
    "no test images": lambda arrays: arrays | {name: arrays[name][:0] for name in FIELDS[2:]},
    "smaller images": lambda arrays: arrays | {"test_images": arrays["test_images"][:, 1:]},
    "flat images": lambda arrays: arrays | {"test_images": arrays["test_images"].reshape(1, 784)},
    "wide labels": lambda arrays: arrays | {"test_labels": arrays["test_labels"].astype(np.int64)},
    "floats": lambda arrays: arrays | {"train_images": arrays["train_images"] / np.float32(255)},
    "labels too high": lambda arrays: arrays | {"test_labels": arrays["test_labels"] + np.uint8(10)},
    "Fortran's order": lambda arrays: arrays | {"train_images": np.asfortranarray(arrays["train_images"])},
    "pickles": lambda arrays: arrays | {"train_labels": np.array([None, None])},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_other_arrays_are_not_taken(path: Path, change: Callable[[Arrays], dict[str, object]]) -> None:
    np.savez(path, **change(some_arrays()), made_from=np.array(MADE_FROM))
    assert read(path) is None


def test_compressed_arrays_are_not_taken_and_those_that_numpy_saves_are(path: Path) -> None:
    np.savez_compressed(path, **some_arrays(), made_from=np.array(MADE_FROM))
    assert read(path) is None
    np.savez(path, **some_arrays(), made_from=np.array(MADE_FROM))
    found = read(path)
    assert found is not None
    assert same(found, some_arrays())


def test_what_was_made_from_something_else_is_not_taken(path: Path) -> None:
    assert read_arrays(path, "another", 10) is None
    assert read_arrays(path, MADE_FROM, 1) is None
    np.savez(path, **some_arrays())
    assert read(path) is None


def test_where_files_cannot_be_mapped_they_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    monkeypatch.setattr(mmap, "mmap", fail)
    found = read(path)
    assert found is not None
    assert same(found, some_arrays())
    found["train_images"][:] = 7  # their own, as those that are mapped are
    found = read(path)
    assert found is not None
    assert same(found, some_arrays())


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    assert read(tmp_path / "absent") is None
    assert read(tmp_path) is None


def test_what_reads_otherwise_than_it_was_written_gets_no_name(tmp_path: Path) -> None:
    """Arrays in Fortran's order stand for whatever goes wrong."""
    arrays = {name: np.asfortranarray(array) for name, array in some_arrays().items()}
    with pytest.raises(CacheError, match=r"set\.npz cannot be written: what is read back differs"):
        write_arrays(tmp_path / "set.npz", arrays, MADE_FROM, 10)
    assert list(tmp_path.iterdir()) == []
