"""The other datasets with few images: what their mirrors serve, in the real layout, and how it reads."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import zipfile
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mpsmnist.data.sources import SOURCES, Source
from support.datasets import idx_bytes
from support.strokes import write

TRAIN_IMAGES, TEST_IMAGES = 150, 70
ENTRIES = dict(SOURCES)  # tests change those
EMNIST = tuple(name for name in ENTRIES if name.startswith("emnist-"))


class SmallSet(NamedTuple):
    """A dataset's entry with the checksums of few images, and those as they should be read."""

    source: Source
    images: NDArray[np.uint8]  # upright; the training images first
    labels: NDArray[np.uint8]  # from 0
    served: dict[str, bytes]  # by the names of downloads

    def from_mirrors(self, *mirrors: str) -> Source:
        """The entry with these mirrors."""
        return dataclasses.replace(self.source, mirrors=mirrors)


@cache
def small_set(name: str) -> SmallSet:
    """Make a set of all its classes, written by hand; those with longer names than a character are digits."""
    images, labels = _content(name)
    if name in EMNIST:
        served = {"gzip.zip": _emnist_zip()}
    else:
        files = ENTRIES[name].files
        parts = [
            _rows_of_8(part) if len(file.shape) == 2 else part
            for file, part in zip(files, _parts(images, labels), strict=True)
        ]
        served = {
            file.name: gzip.compress(_idx(part), mtime=0) for file, part in zip(files, parts, strict=True)
        }
    return SmallSet(_with_sums(ENTRIES[name], served), images, labels, served)


def _content(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    classes = ENTRIES[name].classes
    labels = (rng.permutation(TRAIN_IMAGES + TEST_IMAGES) % len(classes)).astype(np.uint8)
    written = [classes[label] if len(classes[label]) == 1 else str(label) for label in labels]
    return np.stack([_image(write(character, 0.05, rng)) for character in written]), labels


def _image(ink: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Fit ink into a 20x20 box, and centre it by its mass, as MNIST's digits are."""
    small = Image.fromarray((255 * ink).astype(np.uint8))
    small.thumbnail((20, 20))
    pixels = np.asarray(small)
    weights = pixels / pixels.sum()
    row, column = (
        round(13.5 - float((weights.sum(axis=1 - axis) * np.arange(pixels.shape[axis])).sum()))
        for axis in (0, 1)
    )
    row, column = (
        int(np.clip(place, 0, 28 - size)) for place, size in zip((row, column), pixels.shape, strict=True)
    )
    image = np.zeros((28, 28), np.uint8)
    image[row : row + pixels.shape[0], column : column + pixels.shape[1]] = pixels
    return image


def _parts(images: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    n = TRAIN_IMAGES
    return images[:n], labels[:n], images[n:], labels[n:]


def _rows_of_8(classes: NDArray[Any]) -> NDArray[Any]:
    """QMNIST's labels: the class, then numbers that are no classes."""
    rows = np.arange(8 * len(classes), dtype=">i4").reshape(len(classes), 8) + 1000
    rows[:, 0] = classes
    return rows


def _idx(array: NDArray[Any]) -> bytes:
    if array.dtype == np.uint8:
        return idx_bytes(array)
    header = bytes((0, 0, 0x0C, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(">i4").tobytes()


@cache
def _emnist_zip() -> bytes:
    """All splits in one archive, transposed; the labels of letters count from 1."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("gzip/"), b"")
        for name in EMNIST:
            images, labels = _content(name)
            stored = _parts(images.transpose(0, 2, 1), labels + np.uint8(name == "emnist-letters"))
            file.writestr(zipfile.ZipInfo(f"gzip/{name}-mapping.txt"), b"0 48\n")
            for part, array in zip(
                ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1"),
                stored,
                strict=True,
            ):
                info = zipfile.ZipInfo(f"gzip/{name}-{part}-ubyte.gz")
                info.compress_type = zipfile.ZIP_DEFLATED
                file.writestr(info, gzip.compress(idx_bytes(np.ascontiguousarray(array)), mtime=0))
    return archive.getvalue()


def _with_sums(source: Source, served: dict[str, bytes]) -> Source:
    """The entry with the sizes and checksums of what is served, each by its own algorithm."""

    def changed(file: Any) -> Any:
        data = served[file.download.name]
        algorithm = file.download.checksum.split(":")[0]
        checksum = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        download = dataclasses.replace(file.download, checksum=checksum, largest=len(data))
        return dataclasses.replace(file, shape=file.any_number, download=download)

    first, second, third, fourth = map(changed, source.files)
    return dataclasses.replace(source, files=(first, second, third, fourth))
