"""Downloads a dataset's files from its mirrors into the cache; each is checked before it gets its name."""

import hashlib
import logging
import math
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from tqdm import tqdm

from ..errors import DatasetError
from .cache import CacheError, locked, replacing
from .dataset import UnavailableError
from .idx import read_idx
from .sources import Source, SourceFile
from .transfer import Request, TransferError

_log = logging.getLogger(__name__)


def download(source: Source, folder: Path) -> str:
    """Download the files of `source` that are missing or broken in `folder`.

    Several processes may call it at once: one downloads and the others wait for it.

    Returns:
        Where the files came from, for people: the mirrors, or the folder if another process was first.

    Raises:
        UnavailableError: lists every address that was tried, and why it failed.
    """
    try:
        with locked(folder, f"downloading {source.name}"):
            missing = [file for file in source.files if not _is_sound(folder / file.name, file)]
            return _download_files(source, missing, folder) if missing else str(folder)
    except CacheError as error:
        reason = f"it cannot be downloaded: {error}"
        raise UnavailableError(reason, brief=reason) from error


def _download_files(source: Source, files: list[SourceFile], folder: Path) -> str:
    """Fetch `files` from the first mirror that works. One that has failed is not tried again."""
    mirrors = list(source.mirrors)
    failures: list[str] = []
    used: list[str] = []
    with ExitStack() as stack:
        # All are asked at once: a machine without a network finds out in seconds.
        probes = {m: stack.enter_context(closing(Request("HEAD", m + files[0].name))) for m in mirrors}
        for file in files:
            while mirrors:
                try:
                    probes[mirrors[0]].wait()
                    _fetch(mirrors[0] + file.name, file, folder / file.name)
                except TransferError as error:
                    mirror = mirrors.pop(0)
                    failures.append(f"{mirror}{file.name}: {error}")
                    _log.info("%s failed: %s", urlsplit(mirror).netloc, error)
                else:
                    used.append(mirrors[0])
                    break
            else:
                raise _all_failed(failures)
    return " and ".join(dict.fromkeys(used))


def _all_failed(failures: list[str]) -> UnavailableError:
    number = f"all {len(failures)} mirrors" if len(failures) > 1 else "its mirror"
    _, first = failures[0].split(": ", 1)
    return UnavailableError(
        "it cannot be downloaded; tried:" + "".join(f"\n  {failure}" for failure in failures),
        brief=f"{number} failed ({first})",
    )


def _is_sound(path: Path, file: SourceFile) -> bool:
    try:
        read_idx(path, shape=file.shape)
    except DatasetError:
        return False
    return True


def _fetch(url: str, file: SourceFile, path: Path) -> None:
    """Download `url` to `path`, which is replaced only if checksum and structure are right.

    Raises:
        TransferError: the mirror failed or sent something else.
        CacheError: the file cannot be written.
    """
    _log.info("downloading %s from %s", file.name, urlsplit(url).netloc)
    sha256, size = hashlib.sha256(), 0
    with replacing(path) as part:
        with closing(Request("GET", url, _largest_size(file))) as request, _bar(file.name) as bar:
            for chunk in request.chunks():
                bar.total = request.length
                sha256.update(chunk)
                size += part.write(chunk)
                bar.update(len(chunk))
        part.flush()
        flaw = _flaw(part.name, file)
        if (found := sha256.hexdigest()) != file.sha256:
            sent = f"sent {size} bytes with SHA-256 {found}, expected {file.sha256}"
            raise TransferError(f"{sent}; {flaw}" if flaw else sent)
        if flaw:
            raise TransferError(flaw)


def _flaw(path: str, file: SourceFile) -> str | None:
    """Return what is wrong with the structure of a downloaded file."""
    try:
        read_idx(path, shape=file.shape)
    except DatasetError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _bar(name: str) -> "tqdm[NoReturn]":
    """Show the progress of a download on a terminal, to those who see messages about it."""
    shown = _log.isEnabledFor(logging.INFO) and sys.stderr is not None and sys.stderr.isatty()
    return tqdm(desc=name, unit="B", unit_scale=True, leave=False, disable=not shown)


def _largest_size(file: SourceFile) -> int:
    """Bound the gzipped size: items have at most 4 bytes, and gzip adds under 0.1% to incompressible data."""
    size = 4 * math.prod(file.shape)
    return size + size // 1000 + 4096
