"""The processes that a process has started, and those that they have: their time, and their processors."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
CAN_BE_SEEN = (PROC / "self" / "task").is_dir()  # on Linux


def descendants(pid: int) -> list[int]:
    """Those of one process, without itself."""
    children: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*"):
        if fields := _fields(path):
            children.setdefault(int(fields[1]), []).append(int(path.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found[1:]


def processor_seconds(pids: Iterable[int]) -> float:
    """What they have used so far; those that have ended count nothing."""
    fields = [found for pid in pids if (found := _fields(PROC / str(pid)))]
    return sum(int(user) + int(system) for *_, user, system in fields) / os.sysconf("SC_CLK_TCK")


def confine(pids: Iterable[int], cpus: Iterable[int]) -> None:
    """Let all their threads, and what these start, use only these processors."""
    for pid in pids:
        for path in (PROC / str(pid) / "task").glob("[0-9]*"):
            os.sched_setaffinity(int(path.name), cpus)


def _fields(process: Path) -> list[str]:
    """Of its `stat`, from the state to the system time; none if it has ended."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[:13]
    except OSError:
        return []
