"""Finds the four IDX files of a dataset in a folder, under any of the names that they are seen under."""

import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ..errors import DatasetError
from ..user_files import open_regular, reason_of
from .idx import read_idx
from .parts import Found, Part
from .sources import SOURCES

# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte, and so on.
_NAME = re.compile(
    r"(?:(?P<set>[a-z0-9][a-z0-9_-]*)-)?(?P<part>train|t10k|test)[-_](?P<what>images|labels)"
    r"[-_.]idx\d?(?:[-_.](?:ubyte|byte|short|int|float|double))?(?P<gz>\.gz)?",
    re.IGNORECASE,
)
_USUAL = {
    ("train", "images"): "train-images-idx3-ubyte.gz",
    ("train", "labels"): "train-labels-idx1-ubyte.gz",
    ("test", "images"): "t10k-images-idx3-ubyte.gz",
    ("test", "labels"): "t10k-labels-idx1-ubyte.gz",
}
_MAX_BELOW = 1000  # folders below one that are looked into
_MAX_LISTED = 12  # datasets in a message

_Key = tuple[str, str]
_log = logging.getLogger(__name__)


@dataclass
class IdxFiles:
    """Files of one dataset in a folder.

    Attributes:
        folder: where they are.
        prefix: what comes before the usual names, in lower case: "emnist-letters", "qmnist" or nothing.
        candidates: the files that can be read for each of the four, best first.
        unusable: why others, which have the right names, cannot be read.
    """

    folder: Path
    prefix: str
    candidates: dict[_Key, list[Path]] = field(default_factory=dict)
    unusable: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """The files to read: images and labels for training, then for tests, if there are some."""
        return [self.candidates[key][0] for key in _USUAL if key in self.candidates]

    def missing(self, *, test_needed: bool) -> list[str]:
        """Name what is missing; test files may be missing both, unless they are needed."""
        missing = [key for key in _USUAL if key not in self.candidates]
        tests = [key for key in missing if key[0] == "test"]
        if len(tests) == 2 and not test_needed:
            missing = [key for key in missing if key[0] == "train"]
        return [_USUAL[key] for key in missing]

    def read(self) -> Found:
        """Read the files, of which nothing is missing. Raises DatasetError if one is malformed."""
        for first, *others in self.candidates.values():
            if others:
                names = ", ".join(str(path.relative_to(self.folder)) for path in others)
                _log.info("%s is read, not %s beside it", first.relative_to(self.folder), names)
        parts = [
            Part(read_idx(images), read_idx(labels), str(images), str(labels))
            for images, labels in zip(self.paths[::2], self.paths[1::2], strict=True)
        ]
        return Found(parts[0], parts[1] if len(parts) > 1 else None, str(self.folder))


def find_idx(folder: Path) -> list[IdxFiles]:
    """Find the IDX files in `folder`, each perhaps in a folder of its own name, by their prefixes.

    Raises:
        OSError: the folder cannot be listed.
    """
    found: dict[str, IdxFiles] = {}
    for path in sorted(folder.iterdir(), key=_preference):
        if (match := _NAME.fullmatch(path.name)) is not None:
            files = found.setdefault(_prefix(match), IdxFiles(folder, _prefix(match)))
            _add(files, _key(match), path)
    return list(found.values())


def find_idx_below(folder: Path) -> Iterator[IdxFiles]:
    """Find training files in the folders up to two levels below, such as torchvision's MNIST/raw."""
    for pattern in ("*", "*/*"):
        for path in sorted(islice(folder.glob(pattern), _MAX_BELOW)):
            if os.path.isdir(path):
                try:
                    found = find_idx(path)
                except OSError:
                    continue  # of another user, perhaps
                yield from (files for files in found if not files.missing(test_needed=False))


def missing_files(found: IdxFiles) -> str:
    """Say which of the files are not there, and why others are not read."""
    missing = ", ".join(found.missing(test_needed=True))
    return f"missing {missing} (each may also be unpacked, without .gz)" + "".join(
        f"\n  {line}" for line in found.unusable
    )


def _add(files: IdxFiles, key: _Key, path: Path) -> None:
    """Add a file or, of a folder that has such a name, the file of the same kind in it."""
    inner = []
    if os.path.isdir(path):
        matches = ((below, _NAME.fullmatch(below.name)) for below in sorted(path.iterdir()))
        inner = [below for below, match in matches if match is not None and _key(match) == key]
    for each in inner or [path]:
        if (problem := _problem(each)) is None:
            files.candidates.setdefault(key, []).append(each)
        else:
            files.unusable.append(f"{each.relative_to(files.folder)} cannot be used: {problem}")


def _problem(path: Path) -> str | None:
    """Say why this is no file that can be read."""
    try:
        open_regular(path).close()
    except FileNotFoundError:
        return f"it is a link to {path.readlink()}, which is missing"
    except OSError as error:
        return reason_of(error)
    return None


def _prefix(match: re.Match[str]) -> str:
    return (match["set"] or "").lower()


def _key(match: re.Match[str]) -> _Key:
    return "train" if match["part"].lower() == "train" else "test", match["what"].lower()


def _preference(path: Path) -> tuple[bool, bool, str]:
    """Sort files before folders, and packed ones, which have a checksum, before unpacked ones."""
    return os.path.isdir(path), not path.name.lower().endswith(".gz"), path.name


def suited(found: Iterable[IdxFiles], wanted: str | None) -> list[IdxFiles]:
    """Leave out what has the name of another known dataset than `wanted`; None: any will do."""
    return [
        files for files in found if wanted is None or files.prefix == wanted or files.prefix not in SOURCES
    ]


def require_one(found: list[IdxFiles], wanted: str | None, described: str) -> IdxFiles:
    """Choose the only files there are, or those that `wanted` names: by their prefix or their folder.

    Raises:
        DatasetError: there are several.
    """
    if wanted is not None and len(found) > 1:
        found = [files for files in found if _is_named(files, wanted)] or found
    if len(found) > 1:
        more = f" and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
        raise DatasetError(
            f"{described} has several datasets: {', '.join(_places(found)[:_MAX_LISTED])}{more}: "
            "name one with --dataset, or its folder"
        )
    return found[0]


def _places(found: list[IdxFiles]) -> list[str]:
    """Say how to tell datasets apart: by their folders and prefixes, or by what of these differs."""
    if len({files.folder for files in found}) == 1:
        return [files.prefix or "one without a prefix" for files in found]
    return [f"{str(files.folder)!r}{f' ({files.prefix})' * bool(files.prefix)}" for files in found]


def _is_named(files: IdxFiles, wanted: str) -> bool:
    """Tell whether the prefix or, without one, a folder says so, such as torchvision's MNIST/raw."""
    names = [files.prefix] if files.prefix else files.folder.parts[-2:]
    return wanted.replace("-", "") in {name.lower().replace("-", "") for name in names}
