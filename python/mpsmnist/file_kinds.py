"""What a file is, by its first bytes, for those who were given it in place of another."""

import enum
import re

HEAD = 4096  # bytes to judge by


class FileKind(enum.Enum):
    """Kinds of files that people have been found to name; the values are words for messages."""

    EMPTY = "an empty file"
    GIT_LFS = "a Git LFS pointer, not yet the file (`git lfs pull` gets it)"
    SVG = "an SVG drawing"
    PAGE = "an HTML or XML page, as servers send in place of a file"
    PYTORCH = "a PyTorch file (.pt)"
    NPZ = "a NumPy archive (.npz)"
    KERAS = "a Keras file (.keras)"
    ZIP = "a ZIP archive"
    GZIP = "a gzip file"
    BZIP2 = "a bzip2 file"
    XZ = "an xz file"
    ZSTANDARD = "a Zstandard file"
    NPY = "a NumPy array (.npy)"
    PICKLE = "a pickle, such as PyTorch and scikit-learn write"
    HDF5 = "an HDF5 file (.h5), such as Keras writes"
    GGUF = "a GGUF file"
    PARQUET = "a Parquet table"
    HEIC = "a HEIC picture"
    PDF = "a PDF document"


ARCHIVES = frozenset({FileKind.ZIP, FileKind.GZIP, FileKind.BZIP2, FileKind.XZ, FileKind.ZSTANDARD})

# The first that matches names the file; ZIP archives tell by the name of a member near their beginning.
_PATTERNS = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\Z", FileKind.EMPTY),
        (rb"version https://git-lfs\.github\.com/", FileKind.GIT_LFS),
        (rb"(?:\xef\xbb\xbf)?\s*<(?:svg\b|\?xml\b.*?<svg\b)", FileKind.SVG),
        (rb"(?:\xef\xbb\xbf)?\s*<[!?A-Za-z]", FileKind.PAGE),
        (rb"PK\x03\x04.*?/data\.pkl", FileKind.PYTORCH),
        (rb"PK\x03\x04.{26}[^\0]{1,200}?\.npy", FileKind.NPZ),
        (rb"PK\x03\x04.{26}(?:metadata|config)\.json", FileKind.KERAS),
        (rb"PK\x03\x04", FileKind.ZIP),
        (rb"\x1f\x8b", FileKind.GZIP),
        (rb"BZh[1-9]", FileKind.BZIP2),
        (rb"\xfd7zXZ\0", FileKind.XZ),
        (rb"\x28\xb5\x2f\xfd", FileKind.ZSTANDARD),
        (rb"\x93NUMPY", FileKind.NPY),
        (rb"\x80[\x02-\x05]", FileKind.PICKLE),
        (rb"\x89HDF\r\n\x1a\n", FileKind.HDF5),
        (rb"GGUF", FileKind.GGUF),
        (rb"PAR1", FileKind.PARQUET),
        (rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", FileKind.HEIC),
        (rb"%PDF-", FileKind.PDF),
    )
)


def file_kind(head: bytes) -> FileKind | None:
    """Tell the kind of a file by its first HEAD bytes, or all if it has less; None if it is unknown."""
    return next((kind for pattern, kind in _PATTERNS if pattern.match(head)), None)
