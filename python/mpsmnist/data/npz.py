"""Reads NumPy archives as Keras has them (x_train, y_train, x_test, y_test); never anything pickled."""

import io
import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..errors import DatasetError
from ..file_kinds import FileKind
from ..user_files import open_regular, reason_of
from ..wording import listed, printable
from .idx import MAX_DEFLATE_RATIO, MAX_UNPACKED, fill
from .kinds import require_kind
from .parts import Found, Part

# What the arrays are called: in Keras' mnist.npz, and by MedMNIST and mpsmnist itself.
_NAMES = {
    ("x_train", "y_train"): ("x_test", "y_test"),
    ("train_images", "train_labels"): ("test_images", "test_labels"),
}
_EXPECTED = "x_train and y_train, perhaps x_test and y_test, as Keras' mnist.npz has them"
_MAX_HEADER = 1024  # bytes of an array's header: NumPy's have 128, and Python's parser fails on deep nesting


def read_npz(folder: Path) -> Found | None:
    """Read the archive in a folder; None if it has none.

    Raises:
        DatasetError: there are several, or it is damaged or has other arrays.
        OSError: the folder cannot be listed.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".npz")
    if not paths:
        return None
    if len(paths) > 1:
        names = listed(path.name for path in paths)
        raise DatasetError(f"{folder}: has several archives, expected one: {names}")
    path = paths[0]
    try:
        with open_regular(path) as file:
            require_kind(path, file, "a NumPy archive (.npz)", FileKind.NPZ, FileKind.ZIP)
            with zipfile.ZipFile(file) as archive:
                return _read(path, archive, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {reason_of(error)}") from error
    except DatasetError:
        raise
    except Exception as error:  # a damaged archive fails in many ways: zipfile.BadZipFile is one of them
        raise DatasetError(f"{path}: damaged: {printable(reason_of(error))}") from error


def _read(path: Path, archive: zipfile.ZipFile, size: int) -> Found:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    for train, test in _NAMES.items():
        if all(name in members for name in train):
            parts = [_read_part(path, archive, members, train, size)]
            if any(name in members for name in test):
                parts.append(_read_part(path, archive, members, test, size))
            return Found(parts[0], parts[1] if len(parts) > 1 else None, str(path))
    raise DatasetError(f"{path}: has {listed(sorted(members)) or 'no arrays'}, expected {_EXPECTED}")


def _read_part(
    path: Path,
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    names: tuple[str, str],
    size: int,
) -> Part:
    for name in names:
        if name not in members:
            raise DatasetError(f"{path}: has no {name}, expected {_EXPECTED}")
    images, labels = (_read_array(f"{path}: {name}", archive, members[name], size) for name in names)
    return Part(images, labels, *(f"{path}: {name}" for name in names))


def _read_array(name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> NDArray[Any]:
    """Read an array whose header declares no more than a file of `size` bytes can hold."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DatasetError(f"{name}: compressed as np.savez_compressed does not")
    with archive.open(info) as file:
        shape, is_fortran, dtype, begin = _read_header(name, file.read(_MAX_HEADER))
    expected = math.prod(shape) * dtype.itemsize
    described = f"{dtype} of shape {shape}"
    capacity = min(info.file_size, size * MAX_DEFLATE_RATIO, MAX_UNPACKED)
    if expected > capacity:
        raise DatasetError(
            f"{name}: its header declares {described}, {expected} bytes, but it can hold at most {capacity}"
        )
    try:
        array = np.empty(shape[::-1] if is_fortran else shape, dtype)
    except MemoryError:
        raise DatasetError(f"{name}: its header declares {described}, which do not fit into memory") from None
    with archive.open(info) as file:
        file.read(begin)
        if (found := fill(file, array)) < expected:
            raise DatasetError(f"{name}: truncated: {found} bytes, expected {expected}")
        if file.read(1):  # the read that comes to the end has checked its CRC
            raise DatasetError(f"{name}: has bytes after the {expected} of {described}")
    return array.T if is_fortran else array


def _read_header(name: str, head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Read shape, whether it is in Fortran's order, type and where the numbers begin.

    Args:
        name: the array's, for messages.
        head: the member's beginning. NumPy would unpack as much as the header says that it has.
    """
    file = io.BytesIO(head)
    version = npy.read_magic(file)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read_header is None:
        raise DatasetError(f"{name}: .npy version {version}, expected (1, 0) or (2, 0)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that Python 2 wrote it is no matter
        shape, is_fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise DatasetError(f"{name}: holds pickled objects, expected numbers")
    return shape, is_fortran, dtype, file.tell()
