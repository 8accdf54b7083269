"""The datasets known by name: their files, checksums and mirrors. To add one, add an entry."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceFile:
    """One file of a dataset, as its mirrors serve it."""

    name: str
    sha256: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """A dataset of four IDX files: training images and labels, test images and labels."""

    name: str
    num_classes: int
    mirrors: tuple[str, ...]  # folders, tried in this order; each ends in "/"
    files: tuple[SourceFile, SourceFile, SourceFile, SourceFile]


def _mnist_like(name: str, mirrors: tuple[str, ...], sha256: tuple[str, str, str, str]) -> Source:
    """Make the entry of a drop-in replacement for MNIST: the same file names, sizes and classes."""
    return Source(
        name=name,
        num_classes=10,
        mirrors=mirrors,
        files=(
            SourceFile("train-images-idx3-ubyte.gz", sha256[0], (60000, 28, 28)),
            SourceFile("train-labels-idx1-ubyte.gz", sha256[1], (60000,)),
            SourceFile("t10k-images-idx3-ubyte.gz", sha256[2], (10000, 28, 28)),
            SourceFile("t10k-labels-idx1-ubyte.gz", sha256[3], (10000,)),
        ),
    )


SOURCES = {
    source.name: source
    for source in (
        _mnist_like(
            "mnist",
            mirrors=(
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://raw.githubusercontent.com/fgnt/mnist/master/",
            ),
            sha256=(
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    )
}
