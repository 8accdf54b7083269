"""The user's cache: its folders, which one process at a time changes, and files that are whole or absent."""

import errno
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import filelock
import platformdirs

from ..files import atomic_write
from ..user_files import expand_path, kind_of, reason_of

_log = logging.getLogger(__name__)

_LOCK = ".lock"
_PATIENCE_SECONDS = 0.5  # to wait without a word
_LOCK_SECONDS = 600.0

# What file systems without locks say. Then several processes may do the same work, and nothing worse happens.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


class CacheError(Exception):
    """The cache cannot be used; says which folder and why."""


def cache_folder(name: str) -> Path:
    """Return the folder for the dataset `name`: under MPSMNIST_CACHE_DIR, else in the platform's cache.

    Raises:
        CacheError: there is no such place, because the user has no home.
    """
    root = os.environ.get("MPSMNIST_CACHE_DIR") or _user_cache()
    return expand_path(root) / name


def _user_cache() -> str:
    try:
        root = platformdirs.user_cache_dir("mpsmnist", appauthor=False)
    except RuntimeError:
        root = ""
    if not os.path.isabs(root):  # old versions of platformdirs leave the ~ of a user without a home
        raise CacheError("this user has no home folder for the cache: set HOME or MPSMNIST_CACHE_DIR")
    return root


@contextmanager
def locked(folder: Path, purpose: str, seconds: float = 0.0) -> Iterator[None]:
    """Make `folder` and hold its lock, after waiting for other processes.

    Args:
        folder: the folder.
        purpose: what other processes do with the lock, for people.
        seconds: how long that may take, if it is more than ten minutes.

    Raises:
        CacheError: the folder cannot be written, or another process has held the lock for so long.
    """
    lock = filelock.FileLock(folder / _LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(lock, purpose, max(_LOCK_SECONDS, seconds))
    except OSError as error:
        why = _obstacle(folder) or reason_of(error)
        raise CacheError(f"the cache folder {folder} cannot be written: {why}") from error
    try:
        yield
    finally:
        lock.release()


def _obstacle(folder: Path) -> str | None:
    """Say what is in the place of the folder, of one above it, or of its lock."""
    for path in (*reversed(folder.parents), folder):
        if os.path.lexists(path) and not os.path.isdir(path):
            return f"{path} is {kind_of(os.lstat(path))}, expected a folder"
    with suppress(OSError):
        status = os.lstat(folder / _LOCK)
        if not stat.S_ISREG(status.st_mode):
            return f"{folder / _LOCK} is {kind_of(status)}, expected a file"
    return None


def _acquire(lock: filelock.BaseFileLock, purpose: str, seconds: float) -> None:
    try:
        try:
            lock.acquire(timeout=_PATIENCE_SECONDS)
        except filelock.Timeout:
            _log.info("another process is %s: waiting for it, at most %.0f s", purpose, seconds)
            lock.acquire(timeout=seconds)
    except filelock.Timeout:
        raise CacheError(f"another process has held {lock.lock_file} for {seconds:.0f} s") from None
    except NotImplementedError:  # how filelock reports ENOSYS
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Do what atomic_write does, with CacheError for OSError.

    Raises:
        CacheError: the file cannot be written.
    """
    try:
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {reason_of(error)}") from error
