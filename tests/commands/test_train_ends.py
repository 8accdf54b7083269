"""What ends a training run early, signals and kills, and what does not."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mpsmnist import Trainer, checkpoint
from mpsmnist.commands import loading
from mpsmnist.commands import train as cli
from mpsmnist.data import Dataset
from mpsmnist.train import TrainConfig, TrainResult, train
from mpsmnist.training import loop
from support.checks import assert_same_state
from support.commands import SMALL, Call, json_lines, run, start
from support.training import fail_saves

STOP_SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
each_signal = pytest.mark.parametrize(("number", "code"), STOP_SIGNALS.items())


def cause(number: signal.Signals) -> str:
    return "interrupted" if number == signal.SIGINT else f"interrupted by {number.name}"


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


@each_signal
def test_a_signal_saves_the_run(data_dir: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
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
                process.send_signal(number)
        err = process.stderr.read()
    assert process.returncode == code
    last_step, saved = json_lines("".join(out))[-2:]
    assert (last_step["event"], saved["event"]) == ("step", "checkpoint")
    assert checkpoint.load(path).step == saved["step"] == last_step["step"]
    assert err == f"python -m mpsmnist.train: {cause(number)} after step {saved['step']}, saved to {path}\n"


def kill_during(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: signal.Signals) -> None:
    """Send this process a signal at the first call of owner.name."""
    function = getattr(owner, name)
    sent = []

    def call(*arguments: Any, **options: Any) -> Any:
        if not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize("where", [(Trainer, "evaluate"), (os, "fsync")], ids=["evaluate", "save"])
def test_a_signal_in_the_last_evaluation_or_save(
    run_train: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[Any, str]
) -> None:
    path = tmp_path / "run"
    kill_during(monkeypatch, *where, signal.SIGTERM)
    code, out, err = run_train("--steps", 3, "--checkpoint", path, "--json", "--quiet")
    assert code == 143
    assert err == f"python -m mpsmnist.train: {cause(signal.SIGTERM)} after step 3, saved to {path}\n"
    assert json_lines(out)[-1]["event"] == "checkpoint"
    assert checkpoint.load(path).step == 3


@each_signal
def test_a_signal_while_the_data_load(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    def load(*_: object, **__: object) -> Dataset:
        os.kill(os.getpid(), number)
        raise AssertionError("the signal was not handled")

    monkeypatch.setattr(loading, "load", load)
    assert run_train() == (code, "", f"python -m mpsmnist.train: {cause(number)}\n")


def test_a_second_signal_while_saving_leaves_the_old_checkpoint(
    run_train: Call, data_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    assert run_train("--steps", 2, "--checkpoint", path, "--quiet")[0] == 0
    script = (
        "import os, signal, sys\n"
        "from mpsmnist.train import main\n"
        "def fsync(_descriptor):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('first', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('second', flush=True)\n"
        "os.fsync = fsync\n"
        "main(sys.argv[1:])\n"
    )
    words = ["--data-dir", data_dir, "--resume", path, "--steps", "3", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "first\n", "")
    assert checkpoint.load(path).step == 2


def test_a_terminal_that_is_closed_saves_the_run(data_dir: Path, tmp_path: Path) -> None:
    """It sends SIGHUP, and from then on takes no output."""
    path = tmp_path / "run"
    script = (
        "import fcntl, sys, termios\n"
        "from mpsmnist.train import main\n"
        "fcntl.ioctl(2, termios.TIOCSCTTY, 0)\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["--data-dir", data_dir, *SMALL, "--steps", 10**6, "--checkpoint", path]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)],
        start_new_session=True,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"learning rate" not in shown:
            shown += os.read(ours, 4096)
        os.close(ours)
    assert process.returncode == 129
    assert checkpoint.load(path).total_steps == 10**6


def test_signals_work_as_before_after_the_run(run_train: Call) -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    run_train("--steps", 1, "--quiet")
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_a_reader_that_goes_away_does_not_end_the_run(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    arguments = ("--data-dir", data_dir, *SMALL, "--steps", 500, "--json", "--quiet", "--checkpoint", path)
    with start("train", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == (
            "python -m mpsmnist.train: the JSON lines are incomplete: [Errno 32] Broken pipe: '<stdout>'\n"
        )
    assert checkpoint.load(path).step == 500


@pytest.mark.parametrize("steps", [0, 3])
def test_an_interrupted_run_draws_what_it_has(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, steps: int
) -> None:
    done: list[str] = []

    def save_plot(path: Path, result: TrainResult, _dataset: Dataset) -> None:
        done.append(f"drew {len(result.losses)} losses to {path.name}")

    def interrupted(config: TrainConfig, *, stop: Callable[[], bool], **options: Any) -> TrainResult:
        left = iter(range(steps))

        def stop_after_steps() -> bool:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGINT)
            return stop()

        result = train(config, stop=stop_after_steps, **options)
        done.append("trained")
        return result

    monkeypatch.setattr(cli.plot, "save_plot", save_plot)
    monkeypatch.setattr(cli, "train", interrupted)
    monkeypatch.setattr(loop, "MAX_CHUNK", 1)
    code, _, err = run_train("--steps", 100, "--plot", tmp_path / "run.png", "--quiet")
    assert (code, done) == (130, ["trained", f"drew {steps} losses to run.png"])
    assert f"interrupted after step {steps}" in err


@pytest.mark.parametrize("quiet", [False, True])
def test_a_save_that_fails_on_the_way_is_a_warning(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quiet: bool
) -> None:
    path = tmp_path / "run"
    fail_saves(monkeypatch, range(1))
    options = ("--quiet",) if quiet else ()
    code, _, err = run_train("--steps", 4, "--checkpoint", path, "--checkpoint-every", 2, *options)
    warning = (
        "python -m mpsmnist.train: warning: step 2 is not saved, the run goes on: "
        f"checkpoint '{path}' cannot be written: No space left on device"
    )
    assert code == 0
    assert err.splitlines() == [warning] if quiet else err.splitlines().count(warning) == 1
    assert checkpoint.load(path).step == 4
