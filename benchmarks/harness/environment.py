"""The machine, as readers of the figures need to know it; and the same threads for every contestant."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent.parent
ROOT = BENCHMARKS.parent
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def usable_cpus() -> list[int]:
    """The processors this process may use; on systems without affinity, all of them."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cpus_for(threads: int) -> list[int]:
    """The `threads` processors that contestants are pinned to: one per core as long as there are cores."""
    cpus = usable_cpus()
    seen: set[str] = set()
    first: list[int] = []
    second: list[int] = []
    for cpu in cpus:
        core = _siblings(cpu)
        (second if core in seen else first).append(cpu)
        seen.add(core)
    return sorted((first + second)[:threads])


def _siblings(cpu: int) -> str:
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def contestant_environment(threads: int, more_variables: Iterable[str] = ()) -> dict[str, str]:
    """The environment of a contestant: this one's, with every thread pool told the same number.

    torch.compile writes that number into its code, and keeps the code for the next process, which may have
    another number: 16 threads on 8 processors take 80 times as long as 8. So its cache is off.
    """
    threads_alike = dict.fromkeys((*THREAD_VARIABLES, *more_variables), str(threads))
    return os.environ | threads_alike | {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}


def pin(cpus: list[int]) -> bool:
    """Confine this process, and every thread it makes, to these processors, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, cpus)
    return True


def describe(threads: int, distributions: Iterable[str]) -> dict[str, Any]:
    """What is kept with every figure: the machine, the commit, and the versions of these distributions."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu_model(),
        "usable_cpus": len(usable_cpus()),
        "threads": threads,
        "os": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in distributions if (version := _version(name))},
    }


def headline(environment: dict[str, Any]) -> str:
    """The machine, the commit and the day."""
    threads = environment["threads"]
    return (
        f"{environment['cpu']}, {environment['usable_cpus']} usable CPUs, "
        f"{threads} {'thread' if threads == 1 else 'threads'}, "
        f"commit {environment['commit']}, {environment['date'][:10]}"
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    """The checkout's commit, with a + where files differ from it; "unknown" outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "-uno")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _cpu_model() -> str:
    if sys.platform == "darwin":
        return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
