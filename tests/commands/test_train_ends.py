"""How a training run ends early: Ctrl-C, a kill, a reader that goes away."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mpsmnist import checkpoint
from mpsmnist.commands import train as cli
from mpsmnist.data import Dataset
from mpsmnist.train import TrainConfig, TrainResult, train
from mpsmnist.training import loop
from support.checks import assert_same_state
from support.commands import SMALL, Call, json_lines, run, start


def test_a_killed_run_resumes_with_the_same_bits(data_dir: Path, tmp_path: Path) -> None:
    options = ("--data-dir", data_dir, *SMALL, "--steps", 200, "--momentum", 0.5, "--quiet")
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert run("train", *options, "--checkpoint", straight).returncode == 0

    saving = ("--checkpoint", killed, "--checkpoint-every", 100, "--json")
    with start("train", *options, *saving, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if '"checkpoint"' in line:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert checkpoint.load(killed).step == 100

    resumed = run("train", "--data-dir", data_dir, "--resume", killed, "--threads", 1, "--json", "--quiet")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    first, last = json_lines(resumed.stdout)[1], json_lines(resumed.stdout)[-1]
    assert (first["step"], last["steps"]) == (101, 200)
    assert_same_state(checkpoint.load(killed).state, checkpoint.load(straight).state)


def test_ctrl_c_saves_the_run(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    arguments = ("--data-dir", data_dir, *SMALL, "--steps", 20_000, "--checkpoint", path)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    out = []
    with start("train", *arguments, "--json", "--quiet", **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:  # to the end here: communicate() would lose what this loop has read ahead
            out.append(line)
            if '"step": 3,' in line:
                process.send_signal(signal.SIGINT)
        err = process.stderr.read()
    assert process.returncode == 130
    last_step, saved = json_lines("".join(out))[-2:]
    assert (last_step["event"], saved["event"]) == ("step", "checkpoint")
    assert checkpoint.load(path).step == saved["step"] == last_step["step"]
    assert err == f"python -m mpsmnist.train: interrupted after step {saved['step']}, saved to {path}\n"


def test_the_second_ctrl_c_ends_at_once() -> None:
    code = (
        "import os, signal, sys\n"
        "from mpsmnist.commands.console import stop_on_interrupt\n"
        "with stop_on_interrupt() as stop:\n"
        "    assert not stop()\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('first', stop(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('second')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "first True\n")


def test_ctrl_c_works_as_before_after_the_run(run_train: Call) -> None:
    before = signal.getsignal(signal.SIGINT)
    run_train("--steps", 1, "--quiet")
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_the_data_load(run_train: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> Dataset:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load", load)
    assert run_train() == (130, "", "python -m mpsmnist.train: interrupted\n")


def test_a_reader_that_goes_away_ends_the_run(data_dir: Path) -> None:
    arguments = ("--data-dir", data_dir, *SMALL, "--steps", 10**6, "--json", "--quiet")
    with start("train", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.wait(timeout=60), process.stderr.read()) == (1, "")


@pytest.mark.parametrize("steps", [0, 3])
def test_an_interrupted_run_draws_what_it_has(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, steps: int
) -> None:
    done: list[str] = []

    def save_plot(path: Path, result: TrainResult, _dataset: Dataset) -> None:
        done.append(f"drew {len(result.losses)} losses to {path.name}")

    def interrupted(config: TrainConfig, *, stop: object, **options: Any) -> TrainResult:
        left = iter([False] * steps)
        result = train(config, stop=lambda: next(left, True), **options)
        done.append("trained")
        return result

    monkeypatch.setattr(cli.plot, "save_plot", save_plot)
    monkeypatch.setattr(cli, "train", interrupted)
    monkeypatch.setattr(loop, "MAX_CHUNK", 1)
    code, _, err = run_train("--steps", 100, "--plot", tmp_path / "run.png", "--quiet")
    assert (code, done) == (130, ["trained", f"drew {steps} losses to run.png"])
    assert f"interrupted after step {steps}" in err
