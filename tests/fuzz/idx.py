"""IDX files, plain and gzipped."""

from __future__ import annotations

import gzip
import itertools
import math
import struct
import zlib
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from mpsmnist.data import read_idx

from . import Target
from .properties import (
    FIXED,
    Written,
    assert_round_trip,
    assert_same,
    load_or_refuse,
    read_or_refuse,
    some_folder,
    written_sets,
)

_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
_IMAGES, _LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
_TESTS = {"t10k-images-idx3-ubyte": _IMAGES, "t10k-labels-idx1-ubyte": _LABELS}


def idx(array: NDArray[Any]) -> bytes:
    """Write an array of one of the types of IDX."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, _CODES[array.dtype.str[1:]], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def _numpys_reading(data: bytes) -> NDArray[Any] | None:
    """Read the whole of a file; None if it is malformed."""
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return None
    types = {code: f">{name}" for name, code in _CODES.items()}
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in types or not 1 <= data[3] <= 4:
        return None
    begin = 4 + 4 * data[3]
    if len(data) < begin:
        return None
    sizes = struct.unpack(f">{data[3]}I", data[4:begin])
    dtype = np.dtype(types[data[2]])
    if math.prod(sizes) * dtype.itemsize != len(data) - begin:
        return None
    try:
        np.empty(sizes, dtype)
    except ValueError:  # without items, sizes may be more than NumPy can multiply
        return None
    return np.frombuffer(data, dtype, offset=begin).reshape(sizes)


def _most(data: bytes) -> int:
    """Bound the memory: four times what it can hold, at most 1032 times its size if it is gzipped."""
    return FIXED + 4 * len(data) * (1032 if data.startswith(b"\x1f\x8b") else 1)


def _check(data: bytes) -> None:
    expected = _numpys_reading(data)
    with some_folder("idx") as folder:
        file = folder / _IMAGES
        file.write_bytes(data)
        found = read_or_refuse(lambda: read_idx(file), folder, _most(data))
        assert (found is None) == (expected is None)
        if found is None or expected is None:
            return
        assert_same(found, expected)
        number = min(len(found), len(data) * 1032)  # of items without bytes there can be any number
        (folder / _LABELS).write_bytes(idx(np.arange(number).astype(np.uint8) // 8))
        for resize in (False, True):
            load_or_refuse(folder, _most(data) + 2 * 1000 * number, resize=resize)
        file.write_bytes(idx(np.full((number, 28, 28), 200, np.uint8)))
        (folder / _LABELS).write_bytes(data)
        load_or_refuse(folder, _most(data) + 4 * 1000 * number, resize=False)


def _check_gzipped(data: bytes) -> None:
    """Check gzip data as they are, and any other bytes as what has been gzipped."""
    _check(data if data.startswith(b"\x1f\x8b") else gzip.compress(data, 1, mtime=0))


def _seeds() -> list[bytes]:
    images = np.zeros((6, 28, 28))
    images[:, 8:20, 12:16] = 1
    labels = np.arange(6)
    written = [idx((images * 255).astype(np.uint8)), idx((images[:3, 8:20:4, 8:20:4]).astype("f8"))]
    written += [idx((images[:3, ::7, ::7] * 100).astype(name)) for name in ("i1", "i2", "i4", "f4")]
    written += [idx(labels.astype("u1")), idx(np.eye(3).astype("i4")), idx(np.zeros((2, 8), "i4"))]
    return [*written, idx(images[:, ::7, ::7, None].astype("u1"))]


def _gzipped_seeds() -> list[bytes]:
    plain = _seeds()
    members = gzip.compress(plain[0][:90], mtime=0) + gzip.compress(plain[0][90:], 9, mtime=0)
    bomb = gzip.compress(bytes((0, 0, 8, 1, 255, 255, 255, 255)) + bytes(100_000), mtime=0)
    return [*plain, *(gzip.compress(data, mtime=0) for data in plain), members, bomb]


@given(
    st.sampled_from(list(_CODES)).flatmap(
        lambda name: arrays.arrays(name, arrays.array_shapes(max_dims=4, min_side=0, max_side=6))
    ),
    st.none() | st.lists(st.integers(0, 400), max_size=3),
)
def _arrays_return(array: NDArray[Any], members: list[int] | None) -> None:
    """Any array, plain (None) or in gzip members that end at the given offsets."""
    data = idx(array)
    if members is not None:
        ends = [0, *sorted(members), len(data)]
        data = b"".join(gzip.compress(data[a:b]) for a, b in itertools.pairwise(ends))
    with some_folder("idx") as folder:
        (folder / "file").write_bytes(data)
        assert_same(read_idx(folder / "file"), array)


@given(written_sets(tuple(_CODES), tuple(name for name in _CODES), orders="="), st.booleans())
def _sets_return(written: Written, packed: bool) -> None:
    with some_folder("idx") as folder:
        for name, array in ((_IMAGES, written.images), (_LABELS, written.labels)):
            data = gzip.compress(idx(array)) if packed else idx(array)
            (folder / name).write_bytes(data)
        for name, same in _TESTS.items():
            (folder / name).write_bytes((folder / same).read_bytes())
        assert_round_trip(folder, written)


PLAIN = Target(_seeds, _check, _sets_return)
GZIPPED = Target(_gzipped_seeds, _check_gzipped, _arrays_return)
