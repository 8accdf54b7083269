"""One contestant in a process of its own: it reads commands from stdin and answers on stdout.

    python -m harness.worker ASSIGNMENT

ASSIGNMENT is a JSON object: the arguments of Worker, and the CPUs that it is pinned to. Commands and answers
are JSON objects, one a line. Between two commands the process is blocked in a read. Whatever a framework
prints goes to stderr.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import IO, Any

from .environment import pin


class Worker:
    """The contestant and the commands it takes: each returns a JSON object."""

    def __init__(
        self,
        *,
        imports: str,
        module: str,
        class_name: str,
        operation: str,
        folder: str,
        learning_rate: float,
        momentum: float,
        threads: int,
    ) -> None:
        """`operation` is the method that is called and timed: step, predict or evaluate."""
        begin = time.perf_counter()
        importlib.import_module(imports)
        self._import_seconds = time.perf_counter() - begin
        # Not at the top of the file: NumPy would then be missing from the import time of all that use it.
        np, base = importlib.import_module("numpy"), importlib.import_module("contestants.base")
        contestant = getattr(importlib.import_module(f"contestants.{module}"), class_name)

        files = Path(folder)
        self._rows = np.load(files / "batches.npy")
        self._weights = dict(np.load(files / "weights.npz"))
        images, labels = np.load(files / "images.npy"), np.load(files / "labels.npy")
        job = base.Job(images, labels, self._weights, learning_rate, threads, momentum)
        begin = time.perf_counter()
        self._contestant = contestant(job)
        self._build_seconds = time.perf_counter() - begin
        self._operation = operation
        self._call = getattr(self._contestant, operation)
        self._modes = self._contestant.throughput_modes() if operation == "step" else {}
        self._flat = np.ravel
        self.rest()

    def start(self) -> dict[str, Any]:
        """How long it took to get here, and the names of the throughput modes."""
        return {
            "import_seconds": self._import_seconds,
            "build_seconds": self._build_seconds,
            "modes": list(self._modes),
        }

    def verify(self, mode: str, steps: int) -> dict[str, Any]:
        """The answers to the first calls with the weights given, and how long each took."""
        self._contestant.load(self._weights)
        rows = self._rows[:steps]
        if mode != self._operation:
            prepare, run = self._modes[mode]
            return {"answers": [float(loss) for loss in run([prepare(row) for row in rows])]}
        answers, seconds = [], []
        for row in rows:
            batch = self._contestant.prepare(row)
            begin = time.perf_counter()
            answer = self._call(batch)
            seconds.append(time.perf_counter() - begin)
            answers.extend(self._flat(answer).tolist())
        return {"answers": answers, "seconds": seconds}

    def warm_up(self, steps: int, limit: float) -> dict[str, Any]:
        """Up to `steps` calls within about `limit` seconds: their times, and the thread pools then alive."""
        seconds: list[float] = []
        while len(seconds) < steps and sum(seconds) < limit:
            batch = self._contestant.prepare(self._rows[len(seconds) % len(self._rows)])
            begin = time.perf_counter()
            self._call(batch)
            seconds.append(time.perf_counter() - begin)
        return {"seconds": seconds, "thread_pools": thread_pools()}

    def turn(self, mode: str, first: int, untimed: int, count: int) -> dict[str, Any]:
        """Time `count` calls after `untimed` ones: each by itself, or together in a throughput mode."""
        together = mode in self._modes
        prepare = self._modes[mode].prepare if together else self._contestant.prepare
        begin = time.perf_counter()
        wanted = [i % len(self._rows) for i in range(first, first + untimed + count)]
        prepared = {i: prepare(self._rows[i]) for i in dict.fromkeys(wanted)}
        preparation = (time.perf_counter() - begin) / len(prepared)
        batches = [prepared[i] for i in wanted]
        warm, timed = batches[:untimed], batches[untimed:]
        gc.collect()
        gc.disable()
        seconds = self._time_all(mode, warm, timed) if together else self._time_each(warm, timed)
        gc.enable()
        return {"seconds": seconds, "preparation_seconds": preparation}

    def _time_each(self, warm: list[Any], timed: list[Any]) -> list[float]:
        call, clock = self._call, time.perf_counter
        for batch in warm:
            call(batch)
        seconds = []
        for batch in timed:
            begin = clock()
            call(batch)
            seconds.append(clock() - begin)
        return seconds

    def _time_all(self, mode: str, warm: list[Any], timed: list[Any]) -> list[float]:
        run = self._modes[mode].run
        if warm:
            run(warm)
        begin = time.perf_counter()
        run(timed)
        return [(time.perf_counter() - begin) / len(timed)]

    def idle(self) -> dict[str, Any]:
        """The share of one core that this process used since its last answer, and its peak memory."""
        wall, cpu = self._idle_since
        cores = (time.process_time() - cpu) / max(time.perf_counter() - wall, 1e-9)
        return {"cores": cores, "peak_bytes": peak_bytes()}

    def rest(self) -> None:
        """Remember when the process fell idle."""
        self._idle_since = time.perf_counter(), time.process_time()


def thread_pools() -> list[dict[str, Any]] | None:
    """What threadpoolctl finds in this process; None where it is not installed."""
    try:
        from threadpoolctl import threadpool_info  # noqa: PLC0415 (optional)
    except ImportError:
        return None
    keys = ("user_api", "internal_api", "num_threads")
    return [{key: pool[key] for key in keys} for pool in threadpool_info()]


def peak_bytes() -> int:
    """The most memory that this process has had so far."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # On Linux ru_maxrss starts at that of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status["VmHWM"].split()[0])


def take_stdout() -> IO[str]:
    """The pipe to the harness; from now on file descriptor 1 is stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def main(arguments: list[str]) -> None:
    """Obey until the input ends."""
    assignment = json.loads(arguments[0])
    answers = take_stdout()
    pin(assignment.pop("cpus"))
    try:
        worker = Worker(**assignment)
    except Exception as error:
        kind = "unavailable" if type(error).__name__ == "UnavailableError" else "error"
        answers.write(json.dumps({kind: str(error) or repr(error)}) + "\n")
        return
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("do"))(**command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        worker.rest()


if __name__ == "__main__":
    main(sys.argv[1:])
