"""Tells by checksums which of the known datasets a folder holds, whatever its files are called."""

import functools
import hashlib
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .labels import to_labels
from .parts import Part
from .sources import SOURCES, SourceFile
from .stored import checksum

# SHA-256 of the unpacked IDX files: training images and labels, test images and labels.
# Only MNIST's are known for certain. Other sets are told by the sums of their downloads, which are published.
_CONTENT = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
_SIZES = [60_000, 10_000]  # of all sets in _CONTENT: others need no sums


def recognise_content(images: Sequence[NDArray[np.uint8]], parts: Sequence[Part]) -> str | None:
    """Tell by the images, made uint8 (n, 28, 28), and the labels; None if they are of no known dataset."""
    if [len(each) for each in images] != _SIZES:
        return None
    arrays = [array for each, part in zip(images, parts, strict=True) for array in (each, to_labels(part))]
    sums = tuple(map(_sum_as_idx, arrays))
    return next((name for name, known in _CONTENT.items() if known == sums), None)


def recognise_files(paths: Sequence[Path]) -> str | None:
    """Tell by the sums of the files, in the order of Source.files, as mirrors have them.

    Raises:
        DatasetError: a file cannot be read.
    """
    sum_of = functools.cache(checksum)  # most sets are asked about the same sum
    for source in SOURCES.values():
        pairs = list(zip(paths, source.files, strict=False))
        if len(pairs) == len(source.files) and all(_is_download(path, file, sum_of) for path, file in pairs):
            return source.name
    return None


def recognise_file(path: Path) -> str | None:
    """Tell by its sum which download of which dataset a file is: "t10k-labels-idx1-ubyte.gz of mnist".

    Raises:
        DatasetError: it cannot be read.
    """
    sum_of = functools.cache(checksum)
    for source in SOURCES.values():
        for file in source.files:
            if _is_download(path, file, sum_of):
                return f"{file.download.name} of {source.cached_in}"
    return None


def _is_download(path: Path, file: SourceFile, sum_of: Callable[[Path, str], str]) -> bool:
    algorithm, expected = file.download.checksum.split(":")
    return sum_of(path, algorithm) == expected


def _sum_as_idx(array: NDArray[np.uint8]) -> str:
    """Compute the sum of the IDX file that holds a uint8 array."""
    digest = hashlib.sha256(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape))
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
