"""latency.py: it checks before it times, and names who is wrong and who is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import latency as latency_command
from harness import workload
from harness.environment import ROOT
from support import benchmarks
from support.benchmarks import Run

SMALLEST = ["--rounds", "2", "--steps", "3", "--turn-seconds", "0.2"]
SMALLEST += ["--device", "cpu", "--peers", "numpy,planted-wrong"]
SECONDS = ("import_seconds", "build_seconds", "first_call_seconds", "warm_up_seconds", "data_milliseconds")


@pytest.fixture(scope="module")
def latency(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The smallest run that has everything in it."""
    options = [*SMALLEST, "--batch-sizes", "2"]
    return benchmarks.run("latency.py", options, digits, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module", params=["predict", "evaluate"])
def calls(
    request: pytest.FixtureRequest, digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Run]:
    """An operation, and such a run of it. It is given more images than there are."""
    options = [*SMALLEST, "--batch-sizes", "50", "--operation", request.param]
    folder = tmp_path_factory.mktemp("results")
    return request.param, benchmarks.run("latency.py", options, digits, folder)


def test_summary_and_raw_times_have_the_environment_and_the_settings(latency: Run) -> None:
    for result in (latency.summary, latency.raw):
        assert (result["schema"], result["kind"]) == (3, "latency")
        environment = result["environment"]
        assert {"date", "commit", "cpu", "usable_cpus", "os", "python"} < set(environment)
        assert environment["threads"] == 1
        assert set(environment["versions"]) == {"mpsmnist", "numpy"}
        settings = result["settings"]
        assert (settings["operation"], settings["dataset"], settings["rounds"]) == ("step", "custom", 2)
    assert latency.raw["measured"][0]["tolerance"] == workload.TOLERANCE


def test_the_command_is_kept_without_paths(latency: Run) -> None:
    command = latency.summary["command"]
    assert command.startswith("python benchmarks/latency.py --rounds 2 --steps 3")
    assert command.endswith("--batch-sizes 2 --dataset auto --threads 1")


def test_contestants_that_are_right_are_timed(latency: Run) -> None:
    for name, modes in (("mpsmnist-cpu", ["step_async", "run"]), ("numpy-cpu", ["loop"])):
        report, contestant = latency.report(name), latency.contestant(name)
        assert report["status"] == contestant["status"] == "timed"
        assert [len(times) for times in report["sync"]] == [3, 3]
        assert list(report["throughput"]) == modes
        assert all(len(rounds) == 2 for rounds in report["throughput"].values())
        assert len(report["preparation"]) == 2
        assert len(report["idle_cpu"]) == 2 * (1 + len(modes))
        assert all(contestant[key] >= 0 for key in SECONDS)
        assert contestant["worst_error"] <= workload.TOLERANCE
        assert 30 < contestant["peak_megabytes"] < 2000  # NumPy alone takes 30
        assert [row["mode"] for row in latency.rows(contestant=name)] == ["step", *modes]
        assert f"| `{name}` " in latency.text


def test_ratios_are_to_the_fastest_peer(latency: Run) -> None:
    (peer,) = latency.rows(contestant="numpy-cpu", mode="step")
    assert peer["ratio"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    for row in latency.rows(contestant="mpsmnist-cpu"):
        assert 0 < row["ratio"]["low"] <= row["ratio"]["value"] <= row["ratio"]["high"]


def test_a_wrong_gradient_is_refused_by_name(latency: Run) -> None:
    assert latency.contestant("planted-wrong-cpu")["status"] == "wrong"
    assert latency.contestant("planted-wrong-cpu")["worst_error"] > workload.TOLERANCE
    assert latency.report("planted-wrong-cpu")["sync"] == []
    assert latency.rows(contestant="planted-wrong-cpu") == []
    assert "WRONG, not timed: planted-wrong-cpu" in latency.text
    assert latency.status == 1


def test_predictions_and_evaluations_are_timed_one_at_a_time(calls: tuple[str, Run]) -> None:
    operation, run = calls
    assert run.summary["settings"]["operation"] == operation
    assert {row["mode"] for row in run.summary["rows"]} == {operation}
    for name in ("mpsmnist-cpu", "numpy-cpu"):
        report, contestant = run.report(name), run.contestant(name)
        assert contestant["status"] == "timed"
        assert len(report["sync"]) == len(report["idle_cpu"]) == 2
        assert contestant["worst_error"] <= contestant["tolerance"]
        assert f"| `{name}` " in run.text
    (ours,) = run.rows(contestant="mpsmnist-cpu")
    assert 0 < ours["ratio"]["low"] <= ours["ratio"]["value"] <= ours["ratio"]["high"]
    assert f"ms/{operation}" in run.text
    assert "Throughput" not in run.text


def test_wrong_predictions_and_evaluations_are_refused_by_name(calls: tuple[str, Run]) -> None:
    operation, run = calls
    contestant = run.contestant("planted-wrong-cpu")
    assert contestant["status"] == "wrong"
    assert contestant["worst_error"] > contestant["tolerance"]
    assert run.rows(contestant="planted-wrong-cpu") == []
    assert f"WRONG, not timed: planted-wrong-cpu: its first answers to {operation} are " in run.text
    assert run.status == 1


def test_two_interpreters_and_gradients_run_side_by_side(digits: Path, tmp_path: Path) -> None:
    other, started = tmp_path / "python", tmp_path / "started"
    other.write_text(f"#!/bin/sh\necho $$ >> '{started}'\nexec '{sys.executable}' \"$@\"\n")
    other.chmod(0o755)
    options = ["--device", "cpu", "--peers", "mpsmnist-gradients", "--python", f"other={other}"]
    options += ["--against", "mpsmnist-cpu@other", "--batch-sizes", "2"]
    options += ["--rounds", "2", "--steps", "2", "--turn-seconds", "0.1"]
    run = benchmarks.run("latency.py", options, digits, tmp_path)
    assert run.status == 0, run.text
    assert len(started.read_text().splitlines()) == 2
    names = ["mpsmnist-cpu", "mpsmnist-gradients-cpu", "mpsmnist-cpu@other", "mpsmnist-gradients-cpu@other"]
    assert [row["contestant"] for row in run.summary["contestants"]] == names
    assert run.summary["settings"]["against"] == "mpsmnist-cpu@other"
    for row in run.rows(contestant="mpsmnist-cpu@other"):
        assert row["ratio"] == {"value": 1.0, "low": 1.0, "high": 1.0}  # each mode against itself
    assert all(row["ratio"]["value"] > 0 for row in run.summary["rows"])
    assert "--python other=..." in run.summary["command"]
    assert "times the speed of mpsmnist-cpu@other (95%)" in run.text


@pytest.mark.parametrize(
    ("operation", "sizes"),
    [("step", [16, 64, 256]), ("predict", [16, 64, 256]), ("evaluate", [1000, 10000])],
)
def test_sizes_belong_to_the_operation(operation: str, sizes: list[int]) -> None:
    assert latency_command.parse(["--operation", operation]).batch_sizes == sizes
    assert latency_command.parse(["--operation", operation, "--batch-sizes", "7"]).batch_sizes == [7]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--operation", "train"], "argument --operation: invalid choice: 'train'"),
        (["--operation", "predict", "--peers", "jax"], "--peers has 'jax'"),
        (["--batch-sizes", "16", "0"], "argument --batch-sizes: is 0, expected a whole number above 0"),
        (["--rounds", "-1"], "argument --rounds: is -1, expected a whole number above 0"),
        (["--threads", "100000"], "argument --threads: is 100000, but only "),
        (["--python", "before"], "argument --python: is 'before', expected NAME=PATH"),
        (["--against", "mpsmnist"], "--against is 'mpsmnist', expected one of mpsmnist-cpu, "),
        (["--output", "no/such/folder/x.json"], "there is no folder 'no/such/folder'"),
    ],
)
def test_latency_refuses_bad_arguments(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        latency_command.parse(arguments)
    assert complaint in capsys.readouterr().err


def test_git_ignores_raw_times() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    default = latency_command.parse([]).raw_dir
    assert default == ROOT / "benchmarks" / "raw"
    command = ["git", "-C", str(ROOT), "check-ignore", "-q", str(default / "latency.json")]
    assert subprocess.run(command, check=False).returncode == 0


def test_late_steps_are_timed_after_all_the_others(digits: Path, tmp_path: Path) -> None:
    """With momentum, which the answers of the check must have too, and whatever --turn-seconds says."""
    options = [*SMALLEST, "--batch-sizes", "2", "--momentum", "0.9", "--after-steps", "30"]
    late = benchmarks.run("latency.py", [*options, "--turn-seconds", "0.001"], digits, tmp_path)
    settings = late.summary["settings"]
    assert (settings["momentum"], settings["after_steps"]) == (0.9, 30)
    for name in ("mpsmnist-cpu", "numpy-cpu"):
        contestant = late.contestant(name)
        assert (contestant["status"], contestant["warm_up_calls"]) == ("timed", 30)
        assert contestant["worst_error"] <= workload.TOLERANCE
    assert late.contestant("planted-wrong-cpu")["status"] == "wrong"


@pytest.mark.parametrize("option", [["--momentum", "0.9"], ["--after-steps", "5"]])
def test_what_is_of_steps_alone_is_refused_elsewhere(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        latency_command.parse(["--operation", "predict", *option])
    assert "--operation step" in capsys.readouterr().err
