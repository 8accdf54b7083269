"""Processes started together by mpirun."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from support.commands import environment

MPIRUN = shutil.which("mpirun", path=os.path.dirname(sys.executable)) or shutil.which("mpirun")
needs_mpi = pytest.mark.skipif(
    MPIRUN is None or importlib.util.find_spec("mpi4py") is None,
    reason="no mpirun or no mpi4py here: pip install 'mpsmnist[mpi]'",
)

# Containers run as root and have few cores, either of which Open MPI refuses unless it is told otherwise.
PERMISSIONS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


def words(count: int, *arguments: object, each: tuple[dict[str, str], ...] = ()) -> list[str]:
    """The command line of `python -m mpsmnist.train` on `count` ranks; `each` has environments of some."""
    assert MPIRUN is not None
    train = [sys.executable, "-m", "mpsmnist.train", *map(str, arguments)]
    alike, parts = count - len(each), []
    if alike:
        parts.append(["-n", str(alike), *train])
    for changes in each:
        exports = [word for name, value in changes.items() for word in ("-x", f"{name}={value}")]
        parts.append(["-n", "1", *exports, *train])
    line = [MPIRUN]
    for part in parts:
        line += ([":"] if len(line) > 1 else []) + part
    return line


def start(line: list[str], **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(line, env=environment() | PERMISSIONS, text=True, **options)


def run(line: list[str]) -> subprocess.CompletedProcess[str]:
    with start(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        try:
            stdout, stderr = started.communicate(timeout=120)
        except BaseException:
            started.terminate()  # SIGKILL, of which mpirun cannot tell the ranks, may leave some of them
            raise
    return subprocess.CompletedProcess(line, started.returncode, stdout, stderr)
