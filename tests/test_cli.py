"""`python -m mpsmnist.train`: exit codes, JSON, signals, and what it says where."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mpsmnist
from mpsmnist import checkpoint, train
from mpsmnist.commands import train as cli
from mpsmnist.commands.console import make_parser
from mpsmnist.data import Dataset, SyntheticDataWarning
from mpsmnist.training.config import PRESETS
from runs import command, json_lines, run, small_dataset, write_mnist

END_KEYS = [
    "event",
    "steps",
    "loss",
    "test_accuracy",
    "test_loss",
    "device",
    "dataset",
    "seed",
    "train_seconds",
    "steps_per_second",
]

Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return write_mnist(folder)


@pytest.fixture
def main(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Main:
    """Run the command line in this process, with small data; gives the exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        usual = ("--data-dir", data_dir, "--device", "cpu", "--batch-size", 2)
        capsys.readouterr()
        try:
            code = train.main([str(argument) for argument in (*usual, *arguments)])
        except SystemExit as exit_:  # argparse
            code = int(exit_.code or 0)
        return code, *capsys.readouterr()

    return call


def test_a_run_tells_people_on_stderr_only(main: Main) -> None:
    code, out, err = main("--steps", 20)
    assert (code, out) == (0, "")
    lines = err.splitlines()
    assert lines[0] == "mnist: 50 training and 20 test images"
    assert lines[1].startswith("steps 1 to 20, 2 images each, on cpu with ")
    assert lines[1].endswith("constant learning rate 0.01, momentum 0, seed 0")
    assert [line.split(":")[0] for line in lines[2:12]] == [f"step {step} of 20" for step in range(2, 21, 2)]
    assert lines[12].startswith("step 20: test accuracy ")
    assert lines[13].startswith("done: test accuracy ")
    assert len(lines) == 14


def test_quiet_says_nothing(main: Main) -> None:
    assert main("--steps", 3, "--quiet") == (0, "", "")


def test_json_lines(main: Main, tmp_path: Path) -> None:
    path = tmp_path / "run"
    code, out, err = main(
        "--steps", 3, "--eval-every", 2, "--checkpoint", path, "--seed", 6, "--json", "--quiet"
    )
    assert (code, err) == (0, "")
    start, *middle, end = json_lines(out)
    assert start == {
        "event": "start",
        "version": mpsmnist.__version__,
        "step": 0,
        "total_steps": 3,
        "device": "cpu",
        "threads": start["threads"],
        "dataset": "mnist",
        "train_images": 50,
        "test_images": 20,
        "batch_size": 2,
        "learning_rate": 0.01,
        "momentum": 0.0,
        "init": "uniform",
        "schedule": "constant",
        "sampling": "replacement",
        "seed": 6,
        "target_accuracy": None,
    }
    assert [event["event"] for event in middle] == ["step", "step", "eval", "step", "eval", "checkpoint"]
    assert list(middle[0]) == ["event", "step", "loss", "learning_rate"]
    assert list(middle[2]) == ["event", "step", "loss", "accuracy", "train_seconds"]
    assert middle[-1] == {"event": "checkpoint", "step": 3, "path": str(path)}
    assert list(end) == END_KEYS
    assert (end["event"], end["steps"], end["device"], end["dataset"], end["seed"]) == (
        "end",
        3,
        "cpu",
        "mnist",
        6,
    )
    assert end["loss"] == middle[3]["loss"]
    assert (end["test_accuracy"], end["test_loss"]) == (middle[4]["accuracy"], middle[4]["loss"])


def test_json_and_text_go_together(main: Main) -> None:
    code, out, err = main("--steps", 1, "--json")
    assert code == 0
    assert [event["event"] for event in json_lines(out)] == ["start", "step", "eval", "end"]
    assert "done: test accuracy" in err


def test_a_preset_and_options_over_it(main: Main) -> None:
    code, out, _ = main("--preset", "fast", "--steps", 2, "--momentum", 0.25, "--json")
    assert code == 0
    start, first = json_lines(out)[:2]
    fast = PRESETS["fast"]
    assert start["total_steps"] == 2
    assert (start["batch_size"], start["momentum"]) == (2, 0.25)
    for name in ("learning_rate", "init", "schedule", "sampling"):
        assert start[name] == fast[name]
    assert first["learning_rate"] < fast["learning_rate"]


def test_epochs(main: Main) -> None:
    _, out, _ = main("--epochs", 0.1, "--json")
    assert json_lines(out)[-1]["steps"] == 3  # 50 images / 2 / 10, rounded up


def test_a_target_reached_and_not_reached(main: Main) -> None:
    code, out, err = main("--steps", 50, "--eval-every", 1, "--target-accuracy", 0.05, "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json_lines(out)[-1]["steps"] < 50
    code, out, err = main("--steps", 1, "--target-accuracy", 1, "--json", "--quiet")
    assert code == 1
    assert json_lines(out)[-1]["event"] == "end"
    assert err.startswith("python -m mpsmnist.train: the test accuracy is ")
    assert err.endswith(", short of the target 100.00%\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--step", "3"], "unrecognized arguments"),
        (["--steps", "many"], "invalid int value: 'many'"),
        (["--steps", "0"], "steps is 0, expected a whole number from 1"),
        (["--steps", "3", "--epochs", "1"], "steps and epochs"),
        (["--learning-rate", "nan"], "learning_rate is nan"),
        (["--preset", "slow"], "argument --preset: invalid choice: 'slow'"),
        (["--dataset", "cifar"], "argument --dataset: invalid choice: 'cifar'"),
        (["--device", "cuda"], "argument --device: invalid choice: 'cuda'"),
        (["--seed", "-1"], "seed is -1"),
        (["--threads", "0"], "threads is 0"),
        (["--target-accuracy", "99"], "target_accuracy is 99.0"),
        (["--checkpoint-every", "3"], "checkpoint_every needs a checkpoint"),
        (["--checkpoint", "/absent/run"], "checkpoint is '/absent/run', but there is no folder '/absent'"),
        (["--plot", "/absent/plot.png"], "plot is '/absent/plot.png', but there is no folder '/absent'"),
        (["--dataset", "synthetic"], "data_dir"),  # drawn digits have no files
    ],
)
def test_bad_usage(main: Main, arguments: list[str], words: str) -> None:
    code, out, err = main(*arguments)
    assert (code, out) == (2, "")
    assert words in err.splitlines()[-1]


def test_help_and_version(main: Main) -> None:
    code, out, _ = main("--help")
    assert code == 0
    parser = make_parser("", "", "")
    cli.COMMAND.add_options(parser)
    for option in parser._option_string_actions:
        assert option in out
    assert main("--version")[:2] == (0, f"mpsmnist {mpsmnist.__version__}\n")


def test_failures(main: Main, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"no checkpoint at all")
    for arguments, words in (
        (("--data-dir", tmp_path / "absent"), "absent"),
        (("--resume", tmp_path / "absent"), "absent' does not exist"),
        (("--resume", tmp_path / "bad"), "not a readable safetensors file"),
        (("--learning-rate", 1e30, "--steps", 50), "training diverged at step "),
    ):
        code, out, err = main(*arguments, "--quiet")
        assert (code, out) == (1, "")
        assert err.startswith("python -m mpsmnist.train: ")
        assert words in err
        assert "Traceback" not in err


@pytest.mark.skipif("mps" in mpsmnist.devices(), reason="this machine has an Apple GPU")
def test_a_missing_device_is_a_failure(main: Main) -> None:
    code, _, err = main("--device", "mps", "--quiet")
    assert code == 1
    assert "mps" in err


def test_resuming_with_another_seed_is_bad_usage(main: Main, tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert main("--steps", 2, "--checkpoint", path)[0] == 0
    code, _, err = main("--resume", path, "--seed", 1)
    assert code == 2
    assert "seed is 1, but the run in" in err.splitlines()[-1]
    code, _, err = main("--resume", path, "--preset", "fast")
    assert code == 2
    assert "a resumed run keeps it" in err.splitlines()[-1]
    code, out, _ = main("--resume", path, "--steps", 3, "--json")
    assert code == 0
    assert [event["step"] for event in json_lines(out)[:2]] == [2, 3]
    assert checkpoint.load(path).step == 3


def test_synthetic_data_are_announced_even_to_a_quiet_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object, **__: object) -> Dataset:
        warnings.warn("these digits are drawn", SyntheticDataWarning, stacklevel=2)
        return small_dataset()

    monkeypatch.setattr(cli, "load", load)
    assert train.main(["--steps", "1", "--batch-size", "2", "--device", "cpu", "--quiet"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:] == ["*" * 100, "these digits are drawn", "*" * 100]
    assert "warning" in lines[0]


def test_options_reach_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load(*arguments: object, **options: object) -> Dataset:
        asked.append((arguments, options))
        return small_dataset()

    monkeypatch.setattr(cli, "load", load)
    usual = ["--steps", "1", "--batch-size", "2", "--device", "cpu", "--quiet"]
    train.main(usual)
    train.main([*usual, "--dataset", "mnist", "--data-dir", "d", "--offline"])
    assert asked == [
        (("auto",), {"data_dir": None, "offline": None}),
        (("mnist",), {"data_dir": Path("d"), "offline": True}),
    ]


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(command("train", *arguments), text=True, **options)


def test_a_killed_run_resumes_with_the_same_bits(data_dir: Path, tmp_path: Path) -> None:
    usual = ("--data-dir", data_dir, "--device", "cpu", "--batch-size", 2, "--quiet")
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert run("train", *usual, "--steps", 200, "--momentum", 0.5, "--checkpoint", straight).returncode == 0

    saving = ("--checkpoint", killed, "--checkpoint-every", 100, "--json")
    with start(*usual, "--steps", 200, "--momentum", 0.5, *saving, stdout=subprocess.PIPE) as process:
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
    a, b = checkpoint.load(straight), checkpoint.load(killed)
    assert {name: tensor.tobytes() for name, tensor in a.state.items()} == {
        name: tensor.tobytes() for name, tensor in b.state.items()
    }


def test_ctrl_c_saves_the_run(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    arguments = (
        "--data-dir",
        data_dir,
        "--device",
        "cpu",
        "--batch-size",
        2,
        "--steps",
        20_000,
        "--checkpoint",
        path,
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    out = []
    with start(*arguments, "--json", "--quiet", **pipes) as process:
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


def test_ctrl_c_works_as_before_after_the_run(main: Main) -> None:
    before = signal.getsignal(signal.SIGINT)
    main("--steps", 1, "--quiet")
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_the_data_load(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> Dataset:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load", load)
    assert main() == (130, "", "python -m mpsmnist.train: interrupted\n")


def test_a_reader_that_goes_away_ends_the_run(data_dir: Path) -> None:
    arguments = (
        "--data-dir",
        data_dir,
        "--device",
        "cpu",
        "--batch-size",
        2,
        "--steps",
        10**6,
        "--json",
        "--quiet",
    )
    with start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.wait(timeout=60), process.stderr.read()) == (1, "")


def test_a_bar_is_drawn_on_a_terminal_only(data_dir: Path) -> None:
    arguments = ("--data-dir", data_dir, "--device", "cpu", "--batch-size", 2, "--steps", 30)
    ours, theirs = pty.openpty()
    fcntl.ioctl(
        theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0)
    )  # tqdm draws nothing in no columns
    with start(*arguments, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # Linux's way to say that the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    assert b"%|" in shown
    assert b"step 3 of 30" not in shown
    assert b"done: test accuracy" in shown
    assert "%|" not in run("train", *arguments).stderr
