"""A dataset's arrays in one file of the cache: an uncompressed .npz, mapped into memory instead of read.

`numpy.load` reads it too. Besides the arrays it has `made_from`, text that tells whether it is out of date.
A file that is mapped must never be written in place: whoever has mapped it would see other bytes or, where it
has become shorter, die of SIGBUS. Renaming another file over it, as replacing() does, leaves it as it is.
"""

import io
import mmap
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..user_files import open_regular
from .cache import CacheError, replacing

FIELDS = ("train_images", "train_labels", "test_images", "test_labels")
Arrays: TypeAlias = dict[str, NDArray[np.uint8]]  # by the names in FIELDS

_MADE_FROM = "made_from"
# Before each member of a zip; it ends with the lengths of a name and of an extra field, which follow.
_LOCAL_HEADER = struct.Struct("<26xHH")
_NPY_HEADER = 1 << 16  # bytes that have it whole


def read_arrays(path: Path, made_from: str, num_classes: int) -> Arrays | None:
    """Map the arrays in `path`, if it is there, undamaged by its CRC-32s, and made from `made_from`.

    Returns:
        The arrays, as Dataset has them, or None if they are to be made anew. They may be written to: changes
        are this caller's own, and never reach the file.
    """
    try:
        with open_regular(path) as file:
            mapped = _map(file)
            with zipfile.ZipFile(file) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if _member(mapped, members[_MADE_FROM]).item() != made_from:
            return None
        arrays = {name: _member(mapped, members[name]) for name in FIELDS}
    except Exception:  # a damaged archive fails in many ways, all of which mean the same
        return None
    return arrays if _are_sound(arrays, num_classes) else None


def write_arrays(path: Path, arrays: Arrays, made_from: str, num_classes: int) -> Arrays:
    """Write the arrays to `path`, and return them as read_arrays() does: from what was written.

    Raises:
        CacheError: the file cannot be written.
    """
    members: dict[str, Any] = {**arrays, _MADE_FROM: np.array(made_from)}
    with replacing(path, sum(array.nbytes for array in arrays.values())) as file:
        np.savez(file, **members)
        file.flush()
        written = read_arrays(Path(file.name), made_from, num_classes)
        if written is None:
            raise CacheError(f"{path} cannot be written: what is read back differs")
    return written


def _map(file: IO[bytes]) -> mmap.mmap | bytearray:
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError:  # some file systems cannot map files
        return bytearray(file.read())


def _member(mapped: mmap.mmap | bytearray, info: zipfile.ZipInfo) -> NDArray[Any]:
    """View the array of a member. Raises any Exception if it is damaged."""
    header = info.header_offset
    begin = header + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack_from(mapped, header))
    member = memoryview(mapped)[begin : begin + info.file_size]
    start = io.BytesIO(member[:_NPY_HEADER])
    version = npy.read_magic(start)
    shape, is_fortran, dtype = npy.read_array_header_1_0(start)
    if version != (1, 0) or is_fortran:
        raise ValueError("not as write_arrays() writes it")
    if zlib.crc32(member) != info.CRC:
        raise ValueError("damaged, or compressed")
    return np.frombuffer(member[start.tell() :], dtype).reshape(shape)


def _are_sound(arrays: dict[str, NDArray[Any]], num_classes: int) -> bool:
    """Tell whether they are what Dataset holds: a file of the right sums may still be another's."""
    pairs = ((arrays["train_images"], arrays["train_labels"]), (arrays["test_images"], arrays["test_labels"]))
    return all(array.dtype == np.uint8 for array in arrays.values()) and all(
        labels.size
        and images.shape == (*labels.shape, 28, 28)
        and labels.ndim == 1
        and labels.max() < num_classes
        for images, labels in pairs
    )
