"""Time and memory."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._core import Trainer
from ..wording import counted
from .extent import Extent
from .finding import Outcome, judged
from .numbers import Say
from .subjects import Batch, make_batch, make_trainer

# A batch of 16 images takes 50 kB, and what others lost to missing autorelease pools was 2 MB a step.
LEAK_PER_STEP = 32 * 1024  # bytes
MEMORY_NOISE = 4 * 2**20  # bytes
CHUNK = 10  # steps between two signs of life


def compilation(device: str, extent: Extent, say: Say) -> Outcome:
    """How long the training graph takes to compile, for each batch size."""
    trainer = make_trainer(device, learning_rate=0.001)
    seconds = {}
    for size in extent.latency_sizes:
        say(f"batch {size}")
        before = trainer.diagnostics()["compile_seconds"]
        trainer.step(*make_batch(0, size))
        seconds[str(size)] = trainer.diagnostics()["compile_seconds"] - before
    detail = ", ".join(f"{each * 1e3:.1f} ms for batch {size}" for size, each in seconds.items())
    return Outcome("info", detail, {"seconds": seconds})


def latency(size: int) -> Callable[[str, Extent, Say], Outcome]:
    """How long a step takes, by `step` and in `run`, and what the device tells of it."""

    def check(device: str, extent: Extent, say: Say) -> Outcome:
        count = extent.latency_steps
        trainer = make_trainer(device, learning_rate=0.001)
        batch = make_batch(0, size)
        say("first step")
        trainer.step(*batch)  # compiles, where there is something to compile
        before = trainer.diagnostics()
        steps = []
        for step in range(count):
            if step % CHUNK == 0:
                say(f"step {step + 1} of {count}")
            steps.append(_seconds(lambda: trainer.step(*batch)))
        after = trainer.diagnostics()
        run = _run_seconds(trainer, batch, count, say)
        seconds = {"step_median": statistics.median(steps), "step_fastest": min(steps), "run": run}
        values: dict[str, Any] = {"seconds": seconds}
        if after["runs"] > before["runs"]:  # else a device that queues nothing
            gained = {name: (after[name] - before[name]) / count for name in after}
            seconds |= {"encode": gained["encode_seconds"], "gpu": gained["gpu_seconds"]}
            values["roots_per_step"] = gained["command_buffers"]
        return Outcome("info", _in_words(**values), values)

    return check


def _in_words(seconds: dict[str, float], roots_per_step: float | None = None) -> str:
    ms = {name: f"{each * 1e3:.2f} ms" for name, each in seconds.items()}
    words = f"step {ms['step_median']} (median; fastest {ms['step_fastest']}), in run {ms['run']}"
    if roots_per_step is None:
        return words
    means = f"encoding {ms['encode']}, GPU {ms['gpu']}, roots per step {roots_per_step:g}"
    return f"{words}; means by step: {means}"


def _run_seconds(trainer: Trainer, batch: Batch, count: int, say: Say) -> float:
    """Return the seconds of a step in `run`, `count` of them in calls short enough to show signs of life."""
    seconds = 0.0
    for first in range(0, count, CHUNK):
        say(f"step {first + 1} of {count} in run")
        batches = [range(len(batch[0]))] * min(CHUNK, count - first)
        seconds += _seconds(lambda: trainer.run(*batch, batches))  # noqa: B023 (called at once)
    return seconds / count


def memory_growth(device: str, extent: Extent, say: Say) -> Outcome:
    """What the process, and the device, hold more after many steps."""
    trainer = make_trainer(device, learning_rate=0.001)
    batch = make_batch(0, extent.batch_size)
    _steps(trainer, batch, extent.memory_steps // 5, say)  # until allocators have what they need
    before, allocated_before = resident_bytes(), _allocated_bytes(trainer)
    _steps(trainer, batch, extent.memory_steps, say)
    growth, allocated = resident_bytes() - before, _allocated_bytes(trainer) - allocated_before
    limit = MEMORY_NOISE + extent.memory_steps * LEAK_PER_STEP
    detail = (
        f"after {counted(extent.memory_steps, 'step')} {growth / 2**20:+.1f} MiB in the process, "
        f"{allocated / 2**20:+.1f} MiB on the device (at most {limit / 2**20:.1f} MiB)"
    )
    values = {"growth_bytes": growth, "allocated_growth_bytes": allocated, "limit_bytes": limit}
    return judged(max(growth, allocated) <= limit, detail, **values)


def resident_bytes() -> int:
    """Return the memory that this process has in RAM."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    # Descriptors left open make Python spawn and not fork, which a process that uses Metal should not.
    command = ["/bin/ps", "-o", "rss=", "-p", str(os.getpid())]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, close_fds=False)
    return int(done.stdout) * 1024


def _allocated_bytes(trainer: Trainer) -> int:
    return int(trainer.diagnostics()["allocated_bytes"])


def _steps(trainer: Trainer, batch: Batch, count: int, say: Say) -> None:
    for step in range(count):
        if step % CHUNK == 0:
            say(f"step {step + 1} of {count}")
        trainer.step(*batch)


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
