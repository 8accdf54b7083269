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
from ..file_kinds import ARCHIVES, HEAD, FileKind, file_kind
from ..user_files import open_regular, reason_of

_GZIP_MAGIC = b"\x1f\x8b"
_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_STARTS = tuple(bytes((0, 0, kind)) for kind in _TYPES)
_MAX_RANK = 4
MAX_UNPACKED = 1 << 30  # bytes of a gzipped file: the largest known dataset has 640 MB
MAX_DEFLATE_RATIO = 1032  # deflated data never expand by more than this factor
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
        A new array of the file's type, in the machine's byte order: uint8, int8, int16, int32, float32 or
        float64.

    Raises:
        DatasetError: the file cannot be read or is malformed. Nothing is allocated for sizes that the
            file is too short to hold.
    """
    name = os.fspath(path)
    try:
        with open_regular(path) as file:
            return read_idx_from(file, name, shape=shape)
    except OSError as error:
        raise DatasetError(f"{name}: cannot be read: {reason_of(error)}") from error


def read_idx_from(
    file: IO[bytes], name: str, *, shape: tuple[int | None, ...] | None = None, size: int | None = None
) -> NDArray[Any]:
    """Read as read_idx() does from the beginning of a file that is open and can be sought in.

    Args:
        file: the file.
        name: what to call it in messages.
        shape: as of read_idx().
        size: at most how many bytes it has, where its end cannot be sought without reading all of it.

    Raises:
        DatasetError: the file is malformed; the message begins with `name`.
        OSError: the file cannot be read.
    """
    size = file.seek(0, os.SEEK_END) if size is None else size
    file.seek(0)
    is_gzipped = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    file.seek(0)
    try:
        if not is_gzipped:
            return _read(file, capacity=size, shape=shape)
        with gzip.GzipFile(fileobj=file) as unpacked:
            return _read(unpacked, capacity=min(size * MAX_DEFLATE_RATIO, MAX_UNPACKED), shape=shape)
    except _MalformedError as error:
        reason = str(error)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = f"damaged gzip data: {error}"
    raise DatasetError(f"{name}: {reason}")


def may_be_idx(head: bytes) -> bool:
    """Tell whether a file that begins so may be IDX: plain, with a type and a rank that exist, or gzipped."""
    return head.startswith(_GZIP_MAGIC) or (
        head.startswith(_STARTS) and 1 <= int.from_bytes(head[3:4], "big") <= _MAX_RANK
    )


def _read(stream: _Stream, capacity: int, shape: tuple[int | None, ...] | None) -> NDArray[Any]:
    """Read one array from `stream`, which can yield at most `capacity` bytes."""
    dtype, sizes = _read_header(stream)
    described = f"{dtype.itemsize * 8}-bit {'floats' if dtype.kind == 'f' else 'integers'} of shape {sizes}"
    if shape is not None and not _fits(sizes, shape):
        raise _MalformedError(f"holds {described}, expected shape {_describe(shape)}")

    header = 4 + 4 * len(sizes)
    expected = header + math.prod(sizes) * dtype.itemsize
    if expected > capacity:
        raise _MalformedError(
            f"its header declares {described}, {expected} bytes, but it can hold at most {capacity}"
        )
    try:
        array = np.empty(sizes, dtype)
    except (ValueError, MemoryError):  # also without items, sizes may be more than NumPy can multiply
        raise _MalformedError(f"its header declares {described}, which do not fit into memory") from None
    found = header + fill(stream, array)
    if found < expected:
        raise _MalformedError(f"truncated: {found} bytes, expected {expected} for {described}")
    if stream.read(1):  # at the end of gzip data this read also checks its CRC
        raise _MalformedError(f"has bytes after the {expected} that its header declares for {described}")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(stream: _Stream) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = stream.read(4)
    if not start.startswith(_STARTS) and (found := file_kind(start + stream.read(HEAD))) is not None:
        raise _MalformedError(f"it is {found.value}{_remedy(found)}")
    _require(start, 4)
    if start[:2] != b"\0\0":
        raise _MalformedError(f"not IDX: starts with {start.hex(' ')}, expected 00 00, a type and a rank")
    kind, rank = start[2], start[3]
    if kind not in _TYPES:
        expected = ", ".join(f"0x{known:02x} ({dtype.name})" for known, dtype in _TYPES.items())
        raise _MalformedError(f"unknown IDX type 0x{kind:02x}, expected one of {expected}")
    if not 1 <= rank <= _MAX_RANK:
        raise _MalformedError(f"IDX rank {rank}, expected 1 to {_MAX_RANK}")
    sizes = struct.unpack(f">{rank}I", _read_exactly(stream, 4 * rank))
    return _TYPES[kind], sizes


def _remedy(kind: FileKind) -> str:
    if kind in ARCHIVES:
        return ": unpack it"
    if kind is FileKind.PAGE:
        return ": download it anew"
    return "" if kind in (FileKind.EMPTY, FileKind.GIT_LFS) else ", not IDX"


def _read_exactly(stream: _Stream, count: int) -> bytes:
    data = stream.read(count)
    _require(data, count)
    return data


def _require(data: bytes, count: int) -> None:
    if len(data) < count:
        raise _MalformedError(f"truncated in its header: found {len(data)} bytes where {count} were expected")


def fill(stream: _Stream, array: NDArray[Any]) -> int:
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
