"""A contestant's process, and the questions that it answers."""

from __future__ import annotations

import json
import selectors
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Any

from contestants import Entry

from .environment import BENCHMARKS, contestant_environment, cpus_for
from .workload import LEARNING_RATE, Workload

ANSWER_SECONDS = 900  # torch.compile and tinygrad may compile for minutes


class WorkerError(Exception):
    """The contestant's process failed, died or did not answer."""


class WorkerUnavailableError(Exception):
    """The contestant cannot run here."""


class WorkerProcess:
    """The process of worker.py: paused, or answering a question."""

    def __init__(self, entry: Entry, workload: Workload, threads: int) -> None:
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (closed by close)
        assignment = {
            "imports": entry.imports,
            "module": entry.module,
            "class_name": entry.class_name,
            "operation": workload.operation,
            "folder": str(workload.folder),
            "learning_rate": LEARNING_RATE,
            "momentum": workload.momentum,
            "threads": threads,
            "cpus": cpus_for(threads),
        }
        self._process = subprocess.Popen(
            [entry.python or sys.executable, "-m", "harness.worker", json.dumps(assignment)],
            cwd=BENCHMARKS,
            env=contestant_environment(threads, entry.thread_variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            bufsize=1,
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Its answer. Raises WorkerError or WorkerUnavailableError."""
        assert self._process.stdin is not None
        self._process.send_signal(signal.SIGCONT)
        with suppress(BrokenPipeError):  # it has died; what it said before is read below
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        answer: dict[str, Any] = json.loads(self._read_line())
        if "unavailable" in answer:
            raise WorkerUnavailableError(answer["unavailable"])
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def pause(self) -> None:
        """Stop it until the next question: a thread pool that spins on would slow the others down."""
        self._process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        """End it: it leaves when its input ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGCONT)
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._stderr.close()

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(ANSWER_SECONDS):
                raise WorkerError(f"no answer in {ANSWER_SECONDS} s")
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"its process ended with status {self._process.wait()}: {self._last_words()}")
        return line

    def _last_words(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read()[-500:].strip()
