"""Looks at each file of a folder of the user's, where loading would end at the first that is wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import DatasetError
from .idx import read_idx
from .idx_files import IdxFiles, find_idx, find_idx_below
from .recognition import recognise_file
from .sources import SOURCES, Source
from .stored import has_archive, require_archive


class Inspected(NamedTuple):
    """What is known of a file.

    Attributes:
        path: the file.
        known_as: what its checksum says it is, such as "mnist's train-images-idx3-ubyte.gz"; None if nothing.
        flaw: why it cannot be read; None if it can.
    """

    path: Path
    known_as: str | None
    flaw: str | None


def inspect_files(folder: Path) -> Iterator[Inspected]:
    """Inspect the archives and IDX files that load() would find in `folder`. Of other forms it finds none.

    Raises:
        OSError: the folder cannot be listed.
    """
    for path in dict.fromkeys(
        folder / each.name for source in _archived(folder) for each in source.downloads
    ):
        yield _inspect(path, is_idx=False)
    for files in _find_idx(folder):
        for path in files.paths:
            yield _inspect(path, is_idx=True)


def datasets_in(folder: Path) -> list[str]:
    """Return the names to load() the datasets in `folder` by: "auto" unless its files' names say which.

    Raises:
        OSError: the folder cannot be listed.
    """
    if archived := _archived(folder):
        return [source.name for source in archived]
    prefixes = [files.prefix for files in find_idx(folder)]
    return prefixes if len(prefixes) > 1 and set(prefixes) <= SOURCES.keys() else ["auto"]


def _archived(folder: Path) -> list[Source]:
    """Find the datasets whose archive is in `folder`."""
    return [source for source in SOURCES.values() if has_archive(source, folder)]


def _find_idx(folder: Path) -> list[IdxFiles]:
    return find_idx(folder) or list(find_idx_below(folder))


def _inspect(path: Path, *, is_idx: bool) -> Inspected:
    try:
        known_as = recognise_file(path)
        if is_idx:
            read_idx(path)
        else:
            require_archive(path)
    except DatasetError as error:
        return Inspected(path, None, str(error).removeprefix(f"{path}: "))
    return Inspected(path, known_as, None)
