"""Downloads a dataset's files from its mirrors into the cache; each is checked before it gets its name."""

import hashlib
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from tqdm import tqdm

from ..errors import DatasetError
from .cache import replacing
from .dataset import UnavailableError
from .sources import Download, Source
from .stored import ALGORITHMS, read_download
from .transfer import Request, TransferError

_log = logging.getLogger(__name__)


def download(source: Source, files: Sequence[Download], folder: Path) -> str:
    """Fetch `files` of `source` into `folder`, whose lock is held, from the first mirror that works.

    A mirror that has failed is not tried again.

    Returns:
        Where the files came from, for people: the mirrors.

    Raises:
        UnavailableError: lists every address that was tried, and why it failed.
        CacheError: a file cannot be written.
    """
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
                    _fetch(mirrors[0], source, file, folder / file.name)
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


def _fetch(mirror: str, source: Source, file: Download, path: Path) -> None:
    """Download `file` to `path`, which is replaced only if checksum and structure are right.

    Raises:
        TransferError: the mirror failed or sent something else.
        CacheError: the file cannot be written.
    """
    _log.info("downloading %s from %s", file.name, urlsplit(mirror).netloc)
    algorithm, expected = file.checksum.split(":")
    digest, size = hashlib.new(algorithm, usedforsecurity=False), 0
    with closing(Request("GET", mirror + file.name, file.largest)) as request, _bar(file.name) as bar:
        chunks = request.chunks()
        first = next(chunks, b"")
        bar.total = request.length
        with replacing(path, request.length) as part:
            for chunk in chain([first], chunks):
                digest.update(chunk)
                size += part.write(chunk)
                bar.update(len(chunk))
            part.flush()
            flaw = _flaw(Path(part.name), source, file)
            if (found := digest.hexdigest()) != expected:
                sent = f"sent {size} bytes with {ALGORITHMS[algorithm]} {found}, expected {expected}"
                raise TransferError(f"{sent}; {flaw}" if flaw else sent)
            if flaw:
                raise TransferError(flaw)


def _flaw(path: Path, source: Source, download: Download) -> str | None:
    """Say what is wrong with the structure of a download at `path`: with what `source` needs of it."""
    try:
        for file in source.files:
            if file.download == download:
                read_download(path, file, shape=file.shape)
    except DatasetError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _bar(name: str) -> "tqdm[NoReturn]":
    """Show the progress of a download on a terminal, to those who see messages about it."""
    shown = _log.isEnabledFor(logging.INFO) and sys.stderr is not None and sys.stderr.isatty()
    return tqdm(desc=name, unit="B", unit_scale=True, leave=False, disable=not shown)
