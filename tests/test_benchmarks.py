"""The benchmark harness: it checks before it times, and names who is wrong and who is missing."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import examples

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))
import contestants  # noqa: E402
import environment  # noqa: E402
import estimates  # noqa: E402
import harness  # noqa: E402
import workload  # noqa: E402

SECONDS = {"import_seconds", "build_seconds", "first_step_seconds"}
PROTOCOL = harness.Protocol(
    threads=1, rounds=2, steps=3, turn_seconds=0.1, warm_up_steps=1, warm_up_seconds=0.1
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small data set in MNIST's files."""
    folder = tmp_path_factory.mktemp("digits")
    for part, seed in (("train", 1), ("t10k", 2)):
        images, labels = examples.discs(40, seed=seed)
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels.astype(np.uint8))
    return folder


@pytest.fixture
def work(digits: Path, tmp_path: Path) -> workload.Workload:
    """Batches of two from it."""
    return workload.make(workload.read_dataset("mnist", digits), 2, tmp_path / "work")


def write_idx(path: Path, array: np.ndarray[Any, Any]) -> None:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}i", *array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture(scope="module")
def latency(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, int]:
    """The JSON, the text and the exit status of the smallest run that has everything in it."""
    path = tmp_path_factory.mktemp("latency") / "latency.json"
    sizes = ["--batch-sizes", "2", "--rounds", "2", "--steps", "3", "--turn-seconds", "0.2", "--threads", "1"]
    peers = ["--device", "cpu", "--peers", "numpy,planted-wrong"]
    data = ["--dataset", "mnist", "--data-dir", str(digits)]
    outputs = ["--json", str(path), "--plot", str(path.with_suffix(".png"))]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "latency.py"), *sizes, *peers, *data, *outputs],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    assert path.exists(), done.stderr
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    return json.loads(path.read_text()), done.stdout, done.returncode


def by_name(result: dict[str, Any]) -> dict[str, Any]:
    return {report["name"]: report for report in result["batches"][0]["contestants"]}


def test_json_has_the_environment_and_the_protocol(latency: tuple[dict[str, Any], str, int]) -> None:
    result, _, _ = latency
    assert (result["schema"], result["kind"]) == (1, "latency")
    environment = result["environment"]
    assert {"date", "commit", "cpu", "usable_cpus", "threads", "os", "python", "versions"} <= set(environment)
    assert environment["threads"] == 1
    assert {"numpy", "mpsmnist"} <= set(environment["versions"])
    assert result["protocol"]["rounds"] == 2
    assert result["protocol"]["tolerance"] == workload.TOLERANCE
    assert result["workload"]["dataset"] == "mnist"


def test_contestants_that_are_right_are_timed(latency: tuple[dict[str, Any], str, int]) -> None:
    result, text, _ = latency
    for name, modes in (("mpsmnist-cpu", ["step_async", "run"]), ("numpy-cpu", ["loop"])):
        report = by_name(result)[name]
        assert report["status"] == "timed"
        assert all(report[key] >= 0 for key in SECONDS)
        assert [len(times) for times in report["sync"]] == [3, 3]
        assert list(report["throughput"]) == modes
        assert all(len(rounds) == 2 for rounds in report["throughput"].values())
        assert max(report["worst_loss_errors"].values()) <= workload.TOLERANCE
        assert len(report["preparation"]) == 2
        assert len(report["idle_cpu"]) == 2 * (1 + len(modes))
        assert f"| {name} " in text


def test_ratios_are_to_the_fastest_peer(latency: tuple[dict[str, Any], str, int]) -> None:
    batch = latency[0]["batches"][0]
    assert batch["sync"]["numpy-cpu"]["ratio"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    ratio = batch["sync"]["mpsmnist-cpu"]["ratio"]
    assert 0 < ratio["low"] <= ratio["value"] <= ratio["high"]
    assert set(batch["throughput"]) == {"mpsmnist-cpu step_async", "mpsmnist-cpu run", "numpy-cpu loop"}


def test_a_wrong_gradient_is_refused_by_name(latency: tuple[dict[str, Any], str, int]) -> None:
    result, text, status = latency
    report = by_name(result)["planted-wrong-cpu"]
    assert report["status"] == "wrong"
    assert report["worst_loss_errors"]["step"] > workload.TOLERANCE
    assert report["sync"] == []
    assert "planted-wrong-cpu" not in result["batches"][0]["sync"]
    assert "WRONG, not timed: planted-wrong-cpu" in text
    assert status == 1


def test_missing_peers_are_listed_with_their_pip_command(work: workload.Workload) -> None:
    absent = contestants.Entry("absent-cpu", "cpu", "absent", "Absent", "no_such_framework", "pip install it")
    (report,) = harness.compare([absent], work, PROTOCOL)
    assert (report.status, report.reason) == ("missing", "pip install it")


def test_a_contestant_that_dies_is_reported_with_its_last_words(work: workload.Workload) -> None:
    broken = contestants.Entry("broken-cpu", "cpu", "numpy", "NoSuchClass", "numpy", "")
    (report,) = harness.compare([broken], work, PROTOCOL)
    assert report.status == "failed"
    assert "NoSuchClass" in report.reason


def test_a_slow_contestant_has_one_step_a_turn(work: workload.Workload) -> None:
    protocol = replace(PROTOCOL, turn_seconds=1e-9)
    for report in harness.compare(contestants.select(["numpy"], "cpu"), work, protocol):
        assert report.status == "timed", report.reason
        assert [len(times) for times in report.sync] == [1, 1]
        assert all([len(times) for times in rounds] == [1, 1] for rounds in report.throughput.values())


def test_a_contestant_is_stopped_while_it_waits_for_its_turn(
    work: workload.Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals: list[tuple[int, str]] = []
    send = subprocess.Popen.send_signal

    def record(process: subprocess.Popen[str], number: int) -> None:
        signals.append((process.pid, signal.Signals(number).name))
        send(process, number)

    monkeypatch.setattr(subprocess.Popen, "send_signal", record)
    reports = harness.compare(contestants.select(["numpy"], "cpu"), work, PROTOCOL)
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


def test_every_framework_has_its_pip_command() -> None:
    assert {entry.imports.partition(".")[0] for entry in contestants.CONTESTANTS} == {
        "mpsmnist",
        "torch",
        "jax",
        "mlx",
        "tinygrad",
        "numpy",
    }
    assert all(entry.install.startswith("pip install ") for entry in contestants.CONTESTANTS)


def test_peers_are_chosen_by_the_beginning_of_their_names() -> None:
    names = [entry.name for entry in contestants.select(["torch", "jax-cpu"], "cpu")]
    assert names == [
        "mpsmnist-cpu",
        "torch-eager-cpu",
        "torch-channels-last-cpu",
        "torch-compile-cpu",
        "jax-cpu",
    ]
    assert contestants.PLANTED not in contestants.select(None, "all")
    with pytest.raises(ValueError, match="'torhc'"):
        contestants.select(["torhc"], "all")


def test_ratio_of_known_times() -> None:
    times = {"ours": [[1.0, 1.0, 9.0], [2.0]], "slow": [[8.0], [16.0]], "fast": [[4.0], [8.0]]}
    ratios = estimates.ratios_to_fastest(times, ["slow", "fast"])
    assert {name: ratio.value for name, ratio in ratios.items()} == {"ours": 4.0, "slow": 0.5, "fast": 1.0}
    # Both rounds say the same, so resampling rounds (the same ones for everybody) must not move the ratio.
    assert all(ratio.low == ratio.value == ratio.high for ratio in ratios.values())
    assert estimates.ratios_to_fastest(times, []) == {}


def test_losses_that_are_not_numbers_are_wrong() -> None:
    assert workload.worst_error([1.0, float("nan")], [1.0, 1.0]) == float("inf")
    assert workload.worst_error([1.0, 1.1], [1.0, 1.0]) == pytest.approx(0.1)


def test_contestants_get_their_threads_and_no_code_compiled_for_others(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    environ = environment.contestant_environment(3)
    assert {environ[name] for name in environment.THREAD_VARIABLES} == {"3"}
    assert environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] == "1"
