"""Checks what the cache holds: the checksum of every download, and the arrays that were made of them."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..file_kinds import ARCHIVES, HEAD, FileKind, file_kind
from ..files import is_temporary
from ..user_files import open_regular, reason_of
from .cache import LOCK, cache_root
from .cached import CachedSet, find_cached
from .downloaded import read_unpacked
from .generated import SYNTHETIC, read_drawn
from .sets import FETCHABLE
from .sources import SOURCES
from .stored import ALGORITHMS, checksum_flaw


class Verdict(NamedTuple):
    """What the check of a file found.

    Attributes:
        path: the file.
        dataset: whose it is; to fetch this puts a right one in the place of a bad one.
        compared: what was computed, such as "SHA-256".
        flaw: what is wrong with it; None if it is right.
        remark: the end of a sentence that says it is right.
    """

    path: Path
    dataset: str
    compared: str
    flaw: str | None
    remark: str = ""


def verify_cached(before: Callable[[Path], object]) -> Iterator[Verdict]:
    """Check the files of every dataset in the cache, each once, though several datasets may need it.

    Args:
        before: is called with each file's path before it is read, which may take seconds.

    Raises:
        CacheError: there can be no cache.
    """
    seen: set[Path] = set()
    for name in FETCHABLE:
        found = find_cached(name)
        for path in found.sizes:
            if path not in seen:
                seen.add(path)
                before(path)
                yield _verify_arrays(found) if path == found.unpacked else _verify_download(found, path)


def strangers() -> Iterator[tuple[Path, str]]:
    """Find what the cache has besides the files of datasets: each path, and what it may be.

    Raises:
        CacheError: there can be no cache.
        OSError: a folder cannot be listed.
    """
    found = [find_cached(name) for name in FETCHABLE]
    folders = {each.folder for each in found}
    known = {path for each in found for path in (*each.downloads, each.unpacked)} | folders
    for folder in (cache_root(), *sorted(folders)):
        with suppress(FileNotFoundError):
            for path in sorted(folder.iterdir()):
                if path not in known and path.name != LOCK:
                    yield path, _guess(path)


def _guess(path: Path) -> str:
    if is_temporary(path.name):
        return "a temporary file, of a process that still writes it or that was killed"
    return "of no dataset that this version knows"


def _verify_download(found: CachedSet, path: Path) -> Verdict:
    [download] = [each for each in SOURCES[found.name].downloads if each.name == path.name]
    algorithm = ALGORITHMS[download.checksum.split(":")[0]]
    flaw = checksum_flaw(path, download)
    kind = None if flaw is None else _kind(path)
    if kind is not None and kind not in ARCHIVES:
        flaw = f"it is {kind.value}, and {flaw}"
    return Verdict(path, found.name, algorithm, flaw)


def _kind(path: Path) -> FileKind | None:
    with suppress(OSError), open_regular(path) as file:
        return file_kind(file.read(HEAD))
    return None


def _verify_arrays(found: CachedSet) -> Verdict:
    if found.name == SYNTHETIC:
        up_to_date, otherwise = read_drawn(found.unpacked) is not None, "drawn by another version"
    else:
        up_to_date = read_unpacked(SOURCES[found.name], found.folder) is not None
        otherwise = "not made from the downloads beside it"
    flaw = None if up_to_date else _zip_flaw(found.unpacked)
    remark = "" if up_to_date else f", but {otherwise}: loading makes it anew"
    return Verdict(found.unpacked, found.name, "CRC-32", flaw, remark)


def _zip_flaw(path: Path) -> str | None:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return None if archive.testzip() is None else "is damaged: its CRC-32 is wrong"
    except OSError as error:
        return f"cannot be read: {reason_of(error)}"
    except Exception as error:  # a damaged archive fails in many ways
        return f"is damaged: {reason_of(error)}"
