"""The user's cache: its folders, which one process at a time changes, and files that are whole or absent."""

import errno
import fcntl
import functools
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import platformdirs

from ..files import atomic_write, remove_leftovers
from ..user_files import expand_path, kind_of, reason_of

_log = logging.getLogger(__name__)

LOCK = ".lock"  # the name of a file in each folder
_PATIENCE_SECONDS = 0.5  # to wait without a word
_LOCK_SECONDS = 600.0
_POLL_SECONDS = 0.05

# What file systems without locks say. Then several processes may do the same work, and nothing worse happens.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


class CacheError(Exception):
    """The cache cannot be used; says which folder, why, and what to do if that is known."""


def cache_root() -> Path:
    """Return the folder that has the datasets' folders: MPSMNIST_CACHE_DIR, else one of the platform's cache.

    Raises:
        CacheError: there is no such place, because the user has no home.
    """
    return expand_path(os.environ.get("MPSMNIST_CACHE_DIR") or _user_cache())


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
    """Make `folder` and hold its lock, after waiting for other processes, which killed ones do not hold.

    Temporary files that killed processes left in the folder are removed.

    Args:
        folder: the folder.
        purpose: what other processes do with the lock, for people.
        seconds: how long that may take, if it is more than ten minutes.

    Raises:
        CacheError: the folder cannot be written, or another process has held the lock for so long.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.open(folder / LOCK, flags, 0o666)
    except OSError as error:
        why = _obstacle(folder) or f"{reason_of(error)}{_advice(error)}"
        raise CacheError(f"the cache folder {folder} cannot be written: {why}") from error
    try:
        if _acquire(lock, folder, purpose, max(_LOCK_SECONDS, seconds)):
            remove_leftovers(folder)  # nobody else writes here now
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)  # or processes that were forked meanwhile would keep it
        os.close(lock)


def _obstacle(folder: Path) -> str | None:
    """Say what is in the place of the folder, of one above it, or of its lock."""
    for path in (*reversed(folder.parents), folder):
        if os.path.lexists(path) and not os.path.isdir(path):
            return f"{path} is {kind_of(os.lstat(path))}, expected a folder"
    with suppress(OSError):
        status = os.lstat(folder / LOCK)
        if not stat.S_ISREG(status.st_mode):
            return f"{folder / LOCK} is {kind_of(status)}, expected a file"
    return None


def _acquire(lock: int, folder: Path, purpose: str, seconds: float) -> bool:
    """Wait for the lock; False where the file system has none. Raises CacheError."""
    start, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # some file systems say EACCES for EAGAIN
            waited = time.monotonic() - start
        except OSError as error:
            if error.errno in _NO_LOCKS:
                _say_without_locks(folder)
                return False
            raise CacheError(f"the cache folder {folder} cannot be locked: {reason_of(error)}") from error
        else:
            return True
        if waited > _PATIENCE_SECONDS and not told:
            _log.info("another process is %s: waiting for it, at most %.0f s", purpose, seconds)
            told = True
        if waited > seconds:
            raise CacheError(f"another process has held {folder / LOCK} for {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


@functools.cache  # said once
def _say_without_locks(folder: Path) -> None:
    _log.info("the file system of %s has no locks: processes that start at once may download twice", folder)


@contextmanager
def replacing(path: Path, size: int | None = None) -> Iterator[IO[bytes]]:
    """Do what atomic_write does, with CacheError for OSError.

    Args:
        path: the file to write.
        size: how many bytes it will have, if that is known: for advice.

    Raises:
        CacheError: the file cannot be written.
    """
    try:
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {reason_of(error)}{_advice(error, size)}") from error


def _advice(error: OSError, size: int | None = None) -> str:
    """Say what helps, as the end of a message."""
    if error.errno in _FULL:
        room = "some room" if size is None else f"{-(-size // 1_000_000)} MB"
        return f": free {room} there, or name a folder elsewhere with MPSMNIST_CACHE_DIR"
    if error.errno in _FORBIDDEN:
        return ": name a folder that can be written with MPSMNIST_CACHE_DIR"
    return ""
