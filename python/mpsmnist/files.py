"""Files that are either whole or absent: written beside their place, then renamed into it."""

import errno
import functools
import logging
import math
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .user_files import require_regular

_log = logging.getLogger(__name__)

# Both ends of a temporary file's name mark it as ours. Its length does not depend on the file's own name.
_PREFIX, _SUFFIX = ".mpsmnist.", ".tmp"

# One that nobody has written to for so long belongs to a process that was killed. Age, not a lock, is what
# tells: many file systems of clusters have no locks, or locks that other machines do not see.
_LEFTOVER_SECONDS = 3600

# How file systems say that they do not have a call, rather than that it failed.
_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces `path` if the block ends well, and is removed if it does not.

    Whenever the process or the machine stops, `path` holds either the old file or the whole new one: the
    bytes reach the disk before the rename, and the rename before this returns, wherever the file system can
    promise that. Several processes may write one path: each writes a file of its own, and the last one to
    finish wins. Temporary files that killed processes left in the folder more than an hour ago are removed.

    Only a regular file or a symbolic link is replaced, the link itself and not what it points to: see
    resolve(). A file's mode is kept, and its owner if the system lets us.

    Raises:
        OSError: the file cannot be written, or `path` is something else than a file.
    """
    with _open_temporary(path.parent, _find_replaced(path)) as file:
        now = os.fstat(file.fileno()).st_mtime  # by the file system's clock
        remove_leftovers(path.parent, written_before=now - _LEFTOVER_SECONDS)
        yield file
        file.flush()
        _flush_to_disk(file.fileno(), path.parent)
        file.close()  # before the rename: some network file systems report here what they could not write
        os.replace(file.name, path)
    with suppress(OSError):  # the new file is in its place; not every folder can be opened and flushed
        _flush_folder(path.parent)


def is_temporary(name: str) -> bool:
    """Tell by a file's name whether it is a temporary one of atomic_write()."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def remove_leftovers(folder: Path, written_before: float = math.inf) -> None:
    """Remove the temporary files that killed processes left in `folder`.

    Args:
        folder: the folder.
        written_before: those that have been written to since this time, by the file system's clock, are kept;
            by default nobody can be writing there.
    """
    with suppress(OSError), os.scandir(folder) as entries:  # we may write to folders that we may not list
        for entry in entries:
            if is_temporary(entry.name):
                with suppress(OSError):  # another process has removed it, or it is another user's
                    if entry.stat(follow_symlinks=False).st_mtime < written_before:
                        os.unlink(entry.path)


def rehearse_write(path: Path, size: int = 0) -> None:
    """Try, and undo, what atomic_write() does to `path` for a file of `size` bytes.

    Raises:
        OSError: atomic_write() would fail, or would replace a write-protected file.
    """
    replaced = _find_replaced(path)
    if replaced is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it is write-protected")
    with _open_temporary(path.parent, replaced) as file:
        file.write(bytes(size))
        file.close()


def resolve(path: str | os.PathLike[str]) -> Path:
    """Return the file that `path` stands for, behind all symbolic links; it need not exist.

    Raises:
        OSError: it is something else than a file, such as /dev/stdout, or the links go round in a circle.
    """
    with suppress(FileNotFoundError):
        require_regular(os.stat(path), path)
    return Path(os.path.realpath(path))


def is_same_file(path: Path, other: Path) -> bool:
    """Tell whether the two paths stand for one file, which need not exist, behind all links."""
    with suppress(OSError):
        return os.path.samefile(path, other)  # also where the file system ignores case
    return os.path.realpath(path) == os.path.realpath(other)


def _find_replaced(path: Path) -> os.stat_result | None:
    """Return the status of the regular file at `path`, None if there is none."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return None
    require_regular(status, path)
    return status


@contextmanager
def _open_temporary(folder: Path, replaced: os.stat_result | None) -> Iterator[IO[bytes]]:
    """Create a file of a random name, which is gone when the block ends, unless it was renamed."""
    mode = 0o666 if replaced is None else 0o600  # what is written may be as private as what it replaces

    def create(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, mode)

    name = folder / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
    with open(name, "xb", opener=create) as file:
        try:
            if replaced is not None:
                _copy_owner_and_mode(replaced, file.fileno())
            yield file
        finally:
            with suppress(OSError):
                os.unlink(name)


def _copy_owner_and_mode(status: os.stat_result, descriptor: int) -> None:
    """Do what the system allows of it: only root may give files away, and some file systems have no modes."""
    with suppress(OSError):
        os.fchown(descriptor, -1, status.st_gid)
    with suppress(OSError):
        os.fchown(descriptor, status.st_uid, -1)
    with suppress(OSError):
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & 0o777)


def _flush_to_disk(descriptor: int, folder: Path) -> None:
    """Flush a file in `folder`, or that itself, where the file system can do it."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        _say_not_flushed(folder)


@functools.cache  # said once
def _say_not_flushed(folder: Path) -> None:
    _log.info("the file system of %s cannot flush: a power failure may undo what was just written", folder)


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _flush_to_disk(descriptor, folder)
    finally:
        os.close(descriptor)
