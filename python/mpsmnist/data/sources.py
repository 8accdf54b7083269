"""The datasets known by name: their files, checksums, mirrors and classes. To add one, add an entry."""

import math
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGITS = tuple(string.digits)


def number_names(num_classes: int) -> tuple[str, ...]:
    """Name classes by their numbers, for want of better names: "0", "1" and so on."""
    return tuple(str(number) for number in range(num_classes))


@dataclass(frozen=True)
class Download:
    """A file as the mirrors serve it.

    Attributes:
        name: on a mirror, and in the cache.
        checksum: "sha256:" or "md5:", and hexadecimal digits.
        largest: it has at most so many bytes.
    """

    name: str
    checksum: str
    largest: int


@dataclass(frozen=True)
class SourceFile:
    """One of the four IDX files of a dataset: a download of its own, or a member of a zip archive.

    Attributes:
        name: of the gzipped file by itself; people may have it so, or unpacked.
        shape: of its array, None for a size that is not known.
        download: what it comes with.
        member: its path in the archive that is the download; None if it is the download.
    """

    name: str
    shape: tuple[int | None, ...]
    download: Download
    member: str | None = None

    @property
    def any_number(self) -> tuple[int | None, ...]:
        """The shape of its array, with any number of items."""
        return (None, *self.shape[1:])


def _as_stored(array: NDArray[Any]) -> NDArray[Any]:
    return array


@dataclass(frozen=True)
class Decoder:
    """How to read what a dataset's files hold; by default that is as MNIST's.

    Attributes:
        turn: makes images, uint8 (n, 28, 28), upright; it may do so in place.
        select: takes the classes, integers (n,), from the labels' array.
        first_label: the label of the first class.
    """

    turn: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = _as_stored
    select: Callable[[NDArray[Any]], NDArray[Any]] = _as_stored
    first_label: int = 0


@dataclass(frozen=True)
class Source:
    """A dataset of four IDX files: training images and labels, test images and labels.

    Attributes:
        name: what it is asked for by.
        title: what it is, in a few words.
        classes: what to print for each class.
        licence: what it may be used under.
        homepage: where more is told about it.
        mirrors: folders, tried in this order; each ends in "/".
        files: in the order above.
        cached_in: the name of its folder in the cache.
        decoder: its quirks.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    licence: str
    homepage: str
    mirrors: tuple[str, ...]
    files: tuple[SourceFile, SourceFile, SourceFile, SourceFile]
    cached_in: str
    decoder: Decoder = Decoder()

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def archived(self) -> bool:
        """Whether the files come in archives."""
        return any(file.member is not None for file in self.files)

    @property
    def downloads(self) -> tuple[Download, ...]:
        """What is to be downloaded, each file once."""
        return tuple(dict.fromkeys(file.download for file in self.files))


def single_file(name: str, checksum: str, shape: tuple[int, ...]) -> SourceFile:
    """Describe a gzipped IDX file that is a download of its own."""
    size = 4 * math.prod(shape)  # items have at most 4 bytes
    largest = size + size // 1000 + 4096  # gzip adds under 0.1% to incompressible data
    return SourceFile(name, shape, Download(name, checksum, largest))


def _like_mnist(sha256: tuple[str, str, str, str]) -> tuple[SourceFile, SourceFile, SourceFile, SourceFile]:
    """Describe the files of MNIST or a drop-in replacement for it: the same names and sizes."""
    sums = [f"sha256:{digits}" for digits in sha256]
    return (
        single_file("train-images-idx3-ubyte.gz", sums[0], (60000, 28, 28)),
        single_file("train-labels-idx1-ubyte.gz", sums[1], (60000,)),
        single_file("t10k-images-idx3-ubyte.gz", sums[2], (10000, 28, 28)),
        single_file("t10k-labels-idx1-ubyte.gz", sums[3], (10000,)),
    )


MNIST = Source(
    name="mnist",
    title="handwritten digits",
    classes=DIGITS,
    licence="CC BY-SA 3.0",
    homepage="http://yann.lecun.com/exdb/mnist/",
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    ),
    files=_like_mnist(
        (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        )
    ),
    cached_in="mnist",
)

FASHION_MNIST = Source(
    name="fashion-mnist",
    title="clothes, shoes and bags",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    licence="MIT",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    files=_like_mnist(
        (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        )
    ),
    cached_in="fashion-mnist",
)

KMNIST = Source(
    name="kmnist",
    title="cursive Japanese characters",
    # Romanized: matplotlib's own font has no hiragana, nor has every terminal.
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    licence="CC BY-SA 4.0",
    homepage="http://codh.rois.ac.jp/kmnist/",
    mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    files=_like_mnist(
        (
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        )
    ),
    cached_in="kmnist",
)


def _first_column(labels: NDArray[Any]) -> NDArray[Any]:
    """Take the class; the other columns of (n, 8) say who wrote the digit, and where NIST has it."""
    column: NDArray[Any] = labels[:, 0]
    return column


QMNIST = Source(
    name="qmnist",
    title="MNIST's digits, made anew, with all 60,000 test images",
    classes=DIGITS,
    licence="BSD 3-Clause",
    homepage="https://github.com/facebookresearch/qmnist",
    mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
    files=(
        single_file(
            "qmnist-train-images-idx3-ubyte.gz", "md5:ed72d4157d28c017586c42bc6afe6370", (60000, 28, 28)
        ),
        single_file("qmnist-train-labels-idx2-int.gz", "md5:0058f8dd561b90ffdd0f734c6a30e5e4", (60000, 8)),
        single_file(
            "qmnist-test-images-idx3-ubyte.gz", "md5:1394631089c404de565df7b7aeaf9412", (60000, 28, 28)
        ),
        single_file("qmnist-test-labels-idx2-int.gz", "md5:5b5b05890a5e13444e108efe57b788aa", (60000, 8)),
    ),
    cached_in="qmnist",
    decoder=Decoder(select=_first_column),
)

_EMNIST_ZIP = Download(
    "gzip.zip",
    "sha256:fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
    561_753_746,
)
_BLOCK = 1000  # images


def _transpose(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Transpose images (n, 28, 28) in place: those of the largest split take half a gigabyte."""
    for begin in range(0, len(images), _BLOCK):
        block = images[begin : begin + _BLOCK]
        block[...] = block.transpose(0, 2, 1)
    return images


def _emnist(split: str, title: str, classes: tuple[str, ...], first_label: int = 0) -> Source:
    """Describe a split of EMNIST. How many images it has differs between the archive's editions."""

    def member(part: str, shape: tuple[int | None, ...]) -> SourceFile:
        name = f"emnist-{split}-{part}-ubyte.gz"
        return SourceFile(name, shape, _EMNIST_ZIP, member=f"gzip/{name}")

    return Source(
        name=f"emnist-{split}",
        title=title,
        classes=classes,
        licence="none stated (made from NIST Special Database 19)",
        homepage="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST/",),
        files=(
            member("train-images-idx3", (None, 28, 28)),
            member("train-labels-idx1", (None,)),
            member("test-images-idx3", (None, 28, 28)),
            member("test-labels-idx1", (None,)),
        ),
        cached_in="emnist",
        decoder=Decoder(turn=_transpose, first_label=first_label),
    )


_UPPER, _LOWER = tuple(string.ascii_uppercase), tuple(string.ascii_lowercase)
# The lower-case letters that do not look like their upper-case ones, with which the others are merged.
_MERGED = (*DIGITS, *_UPPER, *"abdefghnqrt")

SOURCES = {
    source.name: source
    for source in (
        MNIST,
        FASHION_MNIST,
        KMNIST,
        QMNIST,
        _emnist("balanced", "digits and letters, as many of each", _MERGED),
        _emnist("letters", "letters, upper and lower case as one class", _UPPER, first_label=1),
        _emnist("digits", "digits", DIGITS),
        _emnist("mnist", "digits, as many as MNIST has", DIGITS),
        _emnist("bymerge", "digits and letters, with what looks the same in both cases merged", _MERGED),
        _emnist("byclass", "digits, upper-case and lower-case letters", (*DIGITS, *_UPPER, *_LOWER)),
    )
}
