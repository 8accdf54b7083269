"""A device for tests that must not replace it."""

from __future__ import annotations

import os
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
