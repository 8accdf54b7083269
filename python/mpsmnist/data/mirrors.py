"""Downloads a dataset's files from its mirrors into the cache; each is checked before it gets its name."""

import hashlib
import math
import sys
import threading
import time
from pathlib import Path
from typing import IO

import pooch  # type: ignore[import-untyped]

from ..errors import DatasetError
from .cache import CacheError, locked, replacing
from .dataset import UnavailableError
from .idx import read_idx
from .sources import Source, SourceFile

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
_MIN_BYTES_PER_SECOND = 1024  # on average, once a transfer has lasted _READ_SECONDS
_CHUNK = 1 << 14


class _MirrorError(Exception):
    """Why one mirror could not serve one file."""


def download(source: Source, folder: Path) -> str:
    """Download the files of `source` that are missing or broken in `folder`.

    Several processes may call it at once: one downloads and the others wait for it.

    Returns:
        Where the files came from, for people: the mirrors, or the folder if another process was first.

    Raises:
        UnavailableError: lists every address that was tried, and why it failed.
    """
    try:
        with locked(folder):
            missing = [file for file in source.files if not _is_sound(folder / file.name, file)]
            return _download_files(source, missing, folder) if missing else str(folder)
    except CacheError as error:
        raise UnavailableError(f"it cannot be downloaded: {error}") from error


def _download_files(source: Source, files: list[SourceFile], folder: Path) -> str:
    """Fetch `files` from the first mirror that works. One that has failed is not tried again."""
    mirrors = list(source.mirrors)
    probes = {mirror: _Probe(mirror + files[0].name) for mirror in mirrors}
    deadline = time.monotonic() + _CONNECT_SECONDS
    failures: list[str] = []
    used: list[str] = []
    for file in files:
        while mirrors:
            try:
                probes[mirrors[0]].wait(deadline)
                _fetch(mirrors[0] + file.name, file, folder / file.name)
            except _MirrorError as error:
                failures.append(f"{mirrors.pop(0)}{file.name}: {error}")
            else:
                used.append(mirrors[0])
                break
        else:
            raise UnavailableError(
                "it cannot be downloaded; tried:" + "".join(f"\n  {failure}" for failure in failures)
            )
    return " and ".join(dict.fromkeys(used))


def _is_sound(path: Path, file: SourceFile) -> bool:
    try:
        read_idx(path, shape=file.shape)
    except DatasetError:
        return False
    return True


class _Probe:
    """Finds out whether a mirror answers at all, in a thread of its own.

    Looking up names and trying several addresses in turn can take longer than any timeout that can be set for
    them. With all mirrors probed at once, a machine without a network finds out in seconds.
    """

    def __init__(self, url: str) -> None:
        self._error: str | None = f"no answer within {_CONNECT_SECONDS:g} s"
        self._thread = threading.Thread(target=self._run, args=(url,), daemon=True)
        self._thread.start()

    def wait(self, deadline: float) -> None:
        """Wait for an answer until time.monotonic() is `deadline`. Raises _MirrorError if there was none."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._error is not None:
            raise _MirrorError(self._error)

    def _run(self, url: str) -> None:
        try:
            pooch.HTTPDownloader(timeout=_CONNECT_SECONDS)(url, None, None, check_only=True)
            self._error = None  # any answer will do: a server that refuses HEAD may still serve GET
        except OSError as error:
            self._error = _innermost(error)


def _fetch(url: str, file: SourceFile, path: Path) -> None:
    """Download `url` to `path`, which is replaced only if checksum and structure are right.

    Raises:
        _MirrorError: the mirror failed or sent something else.
        CacheError: the file cannot be written.
    """
    with replacing(path) as part:
        sink = _Sink(part, path, limit=_largest_size(file))
        _transfer(url, sink)
        part.flush()
        found = sink.sha256.hexdigest()
        if found != file.sha256:
            raise _MirrorError(f"sent {sink.size} bytes with SHA-256 {found}, expected {file.sha256}")
        try:
            read_idx(part.name, shape=file.shape)
        except DatasetError as error:
            raise _MirrorError(str(error)) from error


def _transfer(url: str, sink: "_Sink") -> None:
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    transfer = pooch.HTTPDownloader(
        progressbar=on_terminal,
        chunk_size=_CHUNK,
        timeout=(_CONNECT_SECONDS, _READ_SECONDS),
        headers={"Accept-Encoding": "identity"},  # or the gzip file may arrive decompressed
    )
    try:
        transfer(url, sink, None)
    except OSError as error:  # as all errors of the requests library are
        raise _MirrorError(_innermost(error)) from error


class _Sink:
    """The file that a download is written to. Hashes it on the way; stops what is too long or too slow."""

    def __init__(self, file: IO[bytes], path: Path, limit: int) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0
        self._file = file
        self._path = path
        self._limit = limit
        self._start = time.monotonic()

    def write(self, chunk: bytes) -> None:
        self.sha256.update(chunk)
        self.size += len(chunk)
        if self.size > self._limit:
            raise _MirrorError(f"sent more than {self._limit} bytes, which is too many for this file")
        seconds = time.monotonic() - self._start
        if seconds > _READ_SECONDS and self.size < seconds * _MIN_BYTES_PER_SECOND:
            raise _MirrorError(f"too slow: {self.size} bytes in {seconds:.0f} s")
        try:
            self._file.write(chunk)
        except OSError as error:
            raise CacheError(f"{self._path} cannot be written: {error.strerror or error}") from error

    def flush(self) -> None:
        """Do nothing: this is called after every chunk, and one flush at the end is enough."""


def _largest_size(file: SourceFile) -> int:
    """Bound the gzipped size: items have at most 4 bytes, and gzip adds under 0.1% to incompressible data."""
    size = 4 * math.prod(file.shape)
    return size + size // 1000 + 4096


def _innermost(error: BaseException) -> str:
    """Return the text of the innermost error: requests passes causes on as arguments and reasons."""
    while True:
        wrapped = (*error.args, getattr(error, "reason", None))
        inner = [cause for cause in wrapped if isinstance(cause, BaseException)]
        if not inner:
            return str(error) or type(error).__name__
        error = inner[-1]
