"""What is not a regular file: pipes, sockets, and a device for tests that must not replace it."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest


def null_device(folder: Path) -> Path:
    """Return a null device that may be lost: for root, who could replace the system's, one in `folder`."""
    if os.geteuid() != 0:
        return Path(os.devnull)
    try:
        os.mknod(folder / "null", 0o666 | stat.S_IFCHR, os.stat(os.devnull).st_rdev)
    except PermissionError:
        pytest.skip("root may not make devices here, and must not risk the system's own")
    return folder / "null"


def make_irregular(path: Path, kind: str) -> Path:
    """Put "a folder", "a pipe", "a socket" or a link to "a device" at `path`, which is returned."""
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        raise ValueError(f"kind: {kind!r}")
    return path
