"""The harness: who is missing, dead or slow is reported, and only one contestant runs at a time."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contestants import Entry, select
from harness import workload
from harness.environment import BENCHMARKS
from harness.race import Protocol, compare


def test_missing_peers_are_listed_with_their_pip_command(work: workload.Workload, protocol: Protocol) -> None:
    absent = Entry("absent-cpu", "cpu", "absent", "Absent", "no_such_framework", "pip install it")
    (report,) = compare([absent], work, protocol)
    assert (report.status, report.reason) == ("missing", "pip install it")


def test_a_contestant_that_dies_is_reported_with_its_last_words(
    work: workload.Workload, protocol: Protocol
) -> None:
    broken = Entry("broken-cpu", "cpu", "numpy", "NoSuchClass", "numpy", "")
    (report,) = compare([broken], work, protocol)
    assert report.status == "failed"
    assert "NoSuchClass" in report.reason


def test_an_interpreter_without_the_package_is_reported(work: workload.Workload, protocol: Protocol) -> None:
    missing = Entry(
        "mpsmnist-cpu@x", "cpu", "mpsmnist", "MpsmnistCpu", "no_such_package", "", python="python3"
    )
    (report,) = compare([missing], work, protocol)
    assert report.status == "failed"
    assert "no_such_package" in report.reason


def test_a_contestant_has_its_own_thread_variables(
    work: workload.Workload, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments: list[dict[str, str]] = []
    start = subprocess.Popen.__init__

    def record(process: subprocess.Popen[str], *words: Any, **options: Any) -> None:
        environments.append(options["env"])
        start(process, *words, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", record)
    entry = Entry("a-cpu", "cpu", "numpy", "NoSuchClass", "numpy", "", thread_variables=("ITS_THREADS",))
    compare([entry], work, protocol)
    assert [(env["ITS_THREADS"], env["OMP_NUM_THREADS"]) for env in environments] == [("1", "1")]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the memory of the parent does not count")
def test_peak_memory_is_that_of_the_process_itself() -> None:
    ballast = bytearray(400_000_000)
    script = "from harness.worker import peak_bytes; print(peak_bytes())"
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=BENCHMARKS, check=True, capture_output=True, text=True
    )
    assert 5_000_000 < int(found.stdout) < len(ballast) / 2


def test_a_slow_contestant_has_one_step_a_turn(work: workload.Workload, protocol: Protocol) -> None:
    for report in compare(select(["numpy"], "cpu"), work, replace(protocol, turn_seconds=1e-9)):
        assert report.status == "timed", report.reason
        assert [len(times) for times in report.sync] == [1, 1]
        assert all([len(times) for times in rounds] == [1, 1] for rounds in report.throughput.values())


def test_a_contestant_is_stopped_while_it_waits_for_its_turn(
    work: workload.Workload, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals: list[tuple[int, str]] = []
    send = subprocess.Popen.send_signal

    def record(process: subprocess.Popen[str], number: int) -> None:
        signals.append((process.pid, signal.Signals(number).name))
        send(process, number)

    monkeypatch.setattr(subprocess.Popen, "send_signal", record)
    reports = compare(select(["numpy"], "cpu"), work, protocol)
    assert [report.status for report in reports] == ["timed", "timed"]
    stopped: set[int] = set()
    awake: list[int] = []
    for pid, name in signals:
        if name == "SIGSTOP":
            stopped.add(pid)
        else:
            stopped.discard(pid)
            awake.append(len({pid for pid, _ in signals} - stopped))
    both_checked = next(i for i, count in enumerate(awake) if count == 1)
    closing = 2  # at the end both are woken to leave
    assert set(awake[both_checked:-closing]) == {1}


@pytest.mark.parametrize("operation", ["predict", "evaluate"])
def test_pytorch_gives_the_answers_in_both_layouts(
    operation: str, digits: Path, tmp_path: Path, protocol: Protocol
) -> None:
    entries = select(["torch-eager", "torch-channels-last"], "cpu", operation)
    if not all(entry.installed for entry in entries):
        pytest.skip("PyTorch is not installed")
    work = workload.make(workload.read_dataset("mnist", digits), operation, 3, tmp_path / "work")
    reports = compare(entries, work, replace(protocol, rounds=1))
    assert {report.name: (report.status, report.reason) for report in reports} == {
        "mpsmnist-cpu": ("timed", ""),
        "torch-eager-cpu": ("timed", ""),
        "torch-channels-last-cpu": ("timed", ""),
    }
