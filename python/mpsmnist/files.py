"""Files that are either whole or absent: written beside their place, then renamed into it."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

# Both ends of a temporary file's name mark it as ours.
_PREFIX, _SUFFIX = ".mpsmnist.", ".tmp"


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces `path` if the block ends well, and is removed if it does not.

    Whenever the process or the machine stops, `path` holds either the old file or the whole new one: the
    bytes reach the disk before the rename, and the rename before this returns. Several processes may write
    one path: each writes a file of its own, and the last one to finish wins. Temporary files that killed
    processes left in the folder are removed first.

    Raises:
        OSError: the file cannot be written.
    """
    _remove_leftovers(path.parent)
    with _open_temporary(path.parent) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            with suppress(OSError):  # what stays is a leftover, which the next write removes
                os.unlink(file.name)
            raise
    _flush_folder(path.parent)


def _open_temporary(folder: Path) -> IO[bytes]:
    """Create a file of a random name; its lock, held until it is closed, shows that its writer is alive."""
    while True:
        file = open(folder / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}", "xb")  # noqa: SIM115 (the caller closes it)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Until it was locked it looked like a leftover, and another process may have removed it.
            if _is_in_place(file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_in_place(file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(os.stat(file.name), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in `folder` that no living process has locked."""
    for name in os.listdir(folder):
        if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
            with suppress(OSError):  # locked, or another user's
                _remove_if_unlocked(folder / name)


def _remove_if_unlocked(path: Path) -> None:
    # Not through a link and without waiting for a pipe's other end: anyone may have put them there.
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
