"""The user's cache folder: where it is, one process at a time in it, and files that are whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import filelock
import platformdirs

_LOCK_SECONDS = 600.0
_PART = ".part"


class CacheError(Exception):
    """The cache cannot be used; says which folder and why."""


def cache_folder(name: str) -> Path:
    """Return the folder for the set `name`: under MPSMNIST_CACHE_DIR, else in the platform's cache."""
    root = os.environ.get("MPSMNIST_CACHE_DIR") or platformdirs.user_cache_dir("mpsmnist", appauthor=False)
    return Path(root) / name


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make `folder` and hold its lock, waiting for other processes; leftovers of killed ones are removed.

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
        for part in folder.glob("*" + _PART):
            with suppress(OSError):  # if it is in the way, writing it says so
                part.unlink()
        yield


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of `path` if the block ends well and is removed if not.

    Call it under the folder's lock: the temporary name is fixed, so that the next run finds leftovers.

    Raises:
        CacheError: the file cannot be written.
    """
    part = path.with_name(path.name + _PART)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # what stays is a leftover, which the next run removes
            part.unlink()
