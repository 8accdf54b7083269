"""The user's cache: its folders, which one process at a time changes, and files that are whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import filelock
import platformdirs

from ..files import atomic_write

_LOCK_SECONDS = 600.0


class CacheError(Exception):
    """The cache cannot be used; says which folder and why."""


def cache_folder(name: str) -> Path:
    """Return the folder for the dataset `name`: under MPSMNIST_CACHE_DIR, else in the platform's cache.

    Raises:
        CacheError: there is no such place, because the user has no home.
    """
    root = os.environ.get("MPSMNIST_CACHE_DIR") or _user_cache()
    return Path(root) / name


def _user_cache() -> str:
    try:
        root = platformdirs.user_cache_dir("mpsmnist", appauthor=False)
    except RuntimeError:
        root = ""
    if not os.path.isabs(root):  # old versions of platformdirs leave the ~ of a user without a home
        raise CacheError("this user has no home folder for the cache: set HOME or MPSMNIST_CACHE_DIR")
    return root


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make `folder` and hold its lock, after waiting for other processes.

    Raises:
        CacheError: the folder cannot be written, or another process has held the lock for ten minutes.
    """
    lock = filelock.FileLock(folder / ".lock", timeout=_LOCK_SECONDS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = lock.acquire()
    except filelock.Timeout:
        raise CacheError(f"another process has held {lock.lock_file} for {_LOCK_SECONDS:.0f} s") from None
    except OSError as error:
        raise CacheError(f"the cache folder {folder} cannot be written: {error.strerror or error}") from error
    with held:
        yield


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
        raise CacheError(f"{path} cannot be written: {error.strerror or error}") from error
