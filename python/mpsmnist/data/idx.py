"""Reads the IDX format: two zero bytes, a type byte, a rank byte, big-endian uint32 sizes, then the data."""

import gzip
import math
import os
import struct
import zlib
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError

_GZIP_MAGIC = b"\x1f\x8b"
_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}
_MAX_RANK = 4
_MAX_DEFLATE_RATIO = 1032  # deflated data never expand by more than this factor
_CHUNK = 1 << 20

_Stream: TypeAlias = IO[bytes] | gzip.GzipFile


class _MalformedError(Exception):
    """What is wrong with the bytes, without the file's name."""


def read_idx(path: str | os.PathLike[str], *, shape: tuple[int | None, ...] | None = None) -> NDArray[Any]:
    """Read an IDX file, plain or gzipped: its first bytes decide which, not its name.

    Args:
        path: the file.
        shape: the sizes that it must have, None for any size; by default any sizes of rank 1 to 4.

    Returns:
        A new array of uint8 or, for files of 32-bit integers, int32 in the machine's byte order.

    Raises:
        DatasetError: the file cannot be read or is malformed. Nothing is allocated for sizes that the
            file is too short to hold.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            magic = file.read(len(_GZIP_MAGIC))
            file.seek(0)
            if magic != _GZIP_MAGIC:
                return _read(file, capacity=size, shape=shape)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(unpacked, capacity=size * _MAX_DEFLATE_RATIO, shape=shape)
    except _MalformedError as error:
        reason = str(error)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = f"damaged gzip data: {error}"
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
    raise DatasetError(f"{os.fspath(path)}: {reason}")


def _read(stream: _Stream, capacity: int, shape: tuple[int | None, ...] | None) -> NDArray[Any]:
    """Read one array from `stream`, which can yield at most `capacity` bytes."""
    dtype, sizes = _read_header(stream)
    described = f"{dtype.itemsize * 8}-bit integers of shape {sizes}"
    if shape is not None and not _fits(sizes, shape):
        raise _MalformedError(f"holds {described}, expected shape {_describe(shape)}")

    header = 4 + 4 * len(sizes)
    expected = header + math.prod(sizes) * dtype.itemsize
    if expected > capacity:
        raise _MalformedError(
            f"its header declares {described}, {expected} bytes, but it can hold at most {capacity}"
        )
    array = np.empty(sizes, dtype)
    found = header + _fill(stream, array)
    if found < expected:
        raise _MalformedError(f"truncated: {found} bytes, expected {expected} for {described}")
    if stream.read(1):  # at the end of gzip data this read also checks its CRC
        raise _MalformedError(f"has bytes after the {expected} that its header declares for {described}")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(stream: _Stream) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = _read_exactly(stream, 4)
    if start[:2] != b"\0\0":
        raise _MalformedError(f"not IDX: starts with {start.hex(' ')}, expected 00 00, a type and a rank")
    kind, rank = start[2], start[3]
    if kind not in _TYPES:
        known = ", ".join(f"0x{known:02x}" for known in _TYPES)
        raise _MalformedError(f"unsupported IDX type 0x{kind:02x}, expected one of {known}")
    if not 1 <= rank <= _MAX_RANK:
        raise _MalformedError(f"IDX rank {rank}, expected 1 to {_MAX_RANK}")
    sizes = struct.unpack(f">{rank}I", _read_exactly(stream, 4 * rank))
    return _TYPES[kind], sizes


def _read_exactly(stream: _Stream, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise _MalformedError(f"truncated in its header: found {len(data)} bytes where {count} were expected")
    return data


def _fill(stream: _Stream, array: NDArray[Any]) -> int:
    """Read into `array` until it is full or the data ends; returns the number of bytes read."""
    target = array.reshape(-1).view(np.uint8)
    filled = 0
    while chunk := stream.read(min(_CHUNK, len(target) - filled)):
        target[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    return filled


def _fits(sizes: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    if len(sizes) != len(shape):
        return False
    return all(want is None or size == want for size, want in zip(sizes, shape, strict=True))


def _describe(shape: tuple[int | None, ...]) -> str:
    return str(tuple("n" if size is None else size for size in shape)).replace("'", "")
