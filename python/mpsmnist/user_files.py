"""Files that people name: how their paths may be written, and that only regular files are opened."""

import os
import stat
from pathlib import Path
from typing import IO

_KINDS = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def expand_path(path: str | os.PathLike[str]) -> Path:
    """Replace a leading ~ and $VARIABLES, as a shell would; what has no value stays as it is."""
    return Path(os.path.expanduser(os.path.expandvars(path)))


def reason_of(error: BaseException) -> str:
    """Say why: of an OSError without the number and the path that the whole error names."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def open_regular(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a regular file for reading. Nothing else is opened: a pipe, for one, would be waited for.

    Raises:
        OSError: the file cannot be read, or is something else; `strerror` says what.
    """
    require_regular(os.stat(path), path)
    # It may have been replaced since: by a pipe, which O_NONBLOCK does not wait for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        require_regular(os.fstat(descriptor), path)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def require_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    """Raise OSError, which says what `path` is instead, unless this is the status of a regular file."""
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, f"it is {kind_of(status)}, expected a file", os.fspath(path))


def kind_of(status: os.stat_result) -> str:
    """Say what has this status: "a file", "a folder" and so on."""
    return next((name for test, name in _KINDS if test(status.st_mode)), "not a regular file")
