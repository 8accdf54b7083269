"""Files that people name: how their paths may be written, and that only regular files are opened."""

import os
import stat
from pathlib import Path
from typing import IO

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def expand_path(path: str | os.PathLike[str]) -> Path:
    """Replace a leading ~ and $VARIABLES, as a shell would; what has no value stays as it is."""
    return Path(os.path.expanduser(os.path.expandvars(path)))


def open_regular(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a regular file for reading. Nothing else is opened: a pipe, for one, would be waited for.

    Raises:
        OSError: the file cannot be read, or is something else; `strerror` says what.
    """
    _require_regular(os.stat(path), path)
    # It may have been replaced since: by a pipe, which O_NONBLOCK does not wait for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_regular(os.fstat(descriptor), path)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def name_kind(mode: int) -> str:
    """Say what a file that is not regular is, by its st_mode."""
    return next((name for test, name in _KINDS if test(mode)), "not a regular file")


def _require_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, f"it is {name_kind(status.st_mode)}, expected a file", os.fspath(path))
