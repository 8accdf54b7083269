"""Contestants side by side: checked first, then timed in alternating rounds, one process each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from contestants import Entry

from .process import WorkerError, WorkerProcess, WorkerUnavailableError
from .workload import CHECKED_STEPS, Workload

# Thread pools spin for a while after their last work (libgomp, LLVM's OpenMP: up to 0.2 s): let them sleep.
SETTLE_SECONDS = 0.3
SHOWN_ANSWERS = 10  # the losses of the checked steps, the probabilities of the first image
UNTIMED_STEPS = 2  # at the start of a turn: others have used the caches in the meantime

Say = Callable[[str], None]


@dataclass(frozen=True)
class Protocol:
    """How much is measured.

    A turn has UNTIMED_STEPS, then `steps` steps or as many as fit in `turn_seconds`. Where not even the
    untimed ones fit, it is one timed step: for so long a step the state of the caches hardly matters.
    Where predictions or evaluations are timed, a step is a call of them.
    """

    threads: int
    rounds: int
    steps: int
    turn_seconds: float
    warm_up_steps: int
    warm_up_seconds: float
    settle_seconds: float = SETTLE_SECONDS


@dataclass
class Report:
    """What is known of one contestant at one batch size. Times are seconds.

    Where predictions or evaluations are timed, a step is a call of them.
    """

    name: str
    device: str
    is_peer: bool
    status: str = "timed"  # or "missing", "unavailable", "wrong", "failed"
    reason: str = ""
    import_seconds: float | None = None
    build_seconds: float | None = None
    first_step_seconds: float | None = None
    warm_up_seconds: list[float] = field(default_factory=list)
    worst_errors: dict[str, float] = field(default_factory=dict)  # by mode
    thread_pools: list[dict[str, Any]] | None = None
    steps_per_turn: int = 0
    untimed_steps_per_turn: int = 0
    sync: list[list[float]] = field(default_factory=list)  # every step of every round
    throughput: dict[str, list[list[float]]] = field(default_factory=dict)  # by mode: [per step], per round
    preparation: list[float] = field(default_factory=list)  # per batch, one per round
    idle_cpu: list[float] = field(default_factory=list)  # cores used right after each turn
    peak_bytes: int | None = None  # the most memory that the process has had

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


class Contender:
    """A contestant that is being compared: its process, and its report so far."""

    def __init__(self, entry: Entry, workload: Workload, protocol: Protocol) -> None:
        self.report = Report(entry.name, entry.device, entry.is_peer)
        self._workload = workload
        self._protocol = protocol
        self._process = WorkerProcess(entry, workload, protocol.threads)

    @property
    def modes(self) -> tuple[str, ...]:
        """The operation itself, one call at a time, then the ways to have more of them under way."""
        return (self._workload.operation, *self.report.throughput)

    def check(self) -> bool:
        """Build it, compare its first answers with the oracle's in every mode; True when it may be timed."""
        report = self.report
        try:
            self._start()
            for mode in self.modes:
                self._verify(mode)
            if report.status == "timed":
                self._warm_up()
                self._process.pause()
        except WorkerUnavailableError as error:
            report.status, report.reason = "unavailable", str(error)
        except WorkerError as error:
            report.status, report.reason = "failed", str(error)
        return report.status == "timed"

    def turn(self, mode: str, first: int) -> bool:
        """Time one turn; False when it failed, so that it gets no more."""
        report = self.report
        try:
            answer = self._process.ask(
                "turn",
                mode=mode,
                first=first,
                untimed=report.untimed_steps_per_turn,
                count=report.steps_per_turn,
            )
            time.sleep(self._protocol.settle_seconds)
            afterwards = self._process.ask("idle")
        except WorkerError as error:
            report.status, report.reason = "failed", str(error)
            return False
        self._process.pause()
        report.idle_cpu.append(afterwards["cores"])
        report.peak_bytes = afterwards["peak_bytes"]
        report.throughput.get(mode, report.sync).append(answer["seconds"])
        if mode == self._workload.operation:
            report.preparation.append(answer["preparation_seconds"])
        return True

    def close(self) -> None:
        """End its process."""
        self._process.close()

    def _start(self) -> None:
        answer = self._process.ask("start")
        self.report.import_seconds = answer["import_seconds"]
        self.report.build_seconds = answer["build_seconds"]
        self.report.throughput = {mode: [] for mode in answer["modes"]}

    def _verify(self, mode: str) -> None:
        report = self.report
        answer = self._process.ask("verify", mode=mode, steps=CHECKED_STEPS)
        if mode == self._workload.operation:
            report.first_step_seconds = answer["seconds"][0]
        error, tolerance = self._workload.worst_error(answer["answers"]), self._workload.tolerance
        report.worst_errors[mode] = error
        if error > tolerance and report.status != "wrong":
            report.status = "wrong"
            report.reason = (
                f"its first answers to {mode} are {_figures(answer['answers'])}, the oracle's "
                f"{_figures(self._workload.answers)}: off by {error:.1e}, tolerance {tolerance:.0e}"
            )

    def _warm_up(self) -> None:
        protocol, report = self._protocol, self.report
        answer = self._process.ask("warm_up", steps=protocol.warm_up_steps, limit=protocol.warm_up_seconds)
        report.warm_up_seconds, report.thread_pools = answer["seconds"], answer["thread_pools"]
        fitting = int(protocol.turn_seconds / min(report.warm_up_seconds))
        report.steps_per_turn = max(1, min(protocol.steps, fitting))
        report.untimed_steps_per_turn = UNTIMED_STEPS if fitting >= UNTIMED_STEPS else 0


def compare(
    entries: Sequence[Entry], workload: Workload, protocol: Protocol, say: Say = lambda _: None
) -> list[Report]:
    """Check every contestant, then time those that are right, in turns; reports in the order of `entries`."""
    reports: dict[str, Report] = {}
    racing: list[Contender] = []
    try:
        for entry in entries:
            if not entry.installed:
                reports[entry.name] = _missing(entry)
                continue
            say(f"batch {workload.batch_size}: checking {entry.name}")
            contender = Contender(entry, workload, protocol)
            reports[entry.name] = contender.report
            if contender.check():
                racing.append(contender)
            else:
                contender.close()
        _race(racing, protocol, lambda text: say(f"batch {workload.batch_size}: {text}"))
    finally:
        for contender in racing:
            contender.close()
    return [reports[entry.name] for entry in entries]


def _race(racing: Sequence[Contender], protocol: Protocol, say: Say) -> None:
    """In each round everybody has one turn in each mode; every other round goes backwards."""
    running = list(racing)
    for number in range(protocol.rounds):
        say(f"round {number + 1} of {protocol.rounds}")
        for contender in running if number % 2 == 0 else running[::-1]:
            for mode in contender.modes:
                if not contender.turn(mode, first=CHECKED_STEPS + number * protocol.steps):
                    running = [other for other in running if other is not contender]
                    break


def _missing(entry: Entry) -> Report:
    return Report(entry.name, entry.device, entry.is_peer, status="missing", reason=entry.install)


def _figures(answers: Sequence[float]) -> str:
    return " ".join(f"{answer:.6f}" for answer in answers[:SHOWN_ANSWERS])
