"""`mpsmnist.train` on the command line: options, exit codes, JSON and messages."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import struct
import termios
import warnings
from pathlib import Path
from typing import Any

import pytest

import mpsmnist
from mpsmnist import checkpoint
from mpsmnist.commands import loading
from mpsmnist.commands import train as cli
from mpsmnist.commands.console import make_parser
from mpsmnist.data import Dataset, SyntheticDataWarning
from mpsmnist.data.sources import DIGITS
from mpsmnist.train import TrainResult, main
from mpsmnist.training.config import PRESETS
from support.commands import SMALL, Call, json_lines, run, start
from support.datasets import small_dataset

END_KEYS = [
    "event",
    "steps",
    "loss",
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "validation_loss",
    "train_accuracy",
    "train_loss",
    "learned",
    "device",
    "dataset",
    "seed",
    "train_seconds",
    "steps_per_second",
]


def test_a_run_reports_to_people_on_stderr_only(run_train: Call) -> None:
    code, out, err = run_train("--steps", 20)
    assert (code, out) == (0, "")
    lines = err.splitlines()
    assert lines[0] == "custom: 50 training images and 20 test images of 10 classes"
    assert lines[1].startswith("steps 1 to 20, 2 images each, on cpu with ")
    assert lines[1].endswith("constant learning rate 0.01, momentum 0, seed 0")
    assert [line.split(":")[0] for line in lines[2:12]] == [f"step {step} of 20" for step in range(2, 21, 2)]
    assert lines[12].startswith("step 20: test accuracy ")
    assert lines[13].startswith("done: test accuracy ")
    assert lines[14].endswith("the trained network was not kept: --checkpoint PATH keeps it")
    assert len(lines) == 15


def test_a_run_on_distorted_images_says_so(run_train: Call) -> None:
    _, _, err = run_train("--steps", 1, "--augmentation", "distort")
    assert err.splitlines()[1].startswith("steps 1 to 1, 2 images each, distorted at random, on cpu with ")


def test_quiet_says_nothing(run_train: Call) -> None:
    assert run_train("--steps", 3, "--quiet") == (0, "", "")


def test_a_bar_is_drawn_on_a_terminal_only(data_dir: Path) -> None:
    arguments = ("--data-dir", data_dir, *SMALL, "--steps", 30)
    ours, theirs = pty.openpty()
    fcntl.ioctl(
        theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0)
    )  # tqdm draws nothing on a terminal without columns
    with start("train", *arguments, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # how Linux reports that the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    assert b"%|" in shown
    assert b"step 3 of 30" not in shown
    assert b"done: test accuracy" in shown
    assert "%|" not in run("train", *arguments).stderr


def test_json_lines(run_train: Call, tmp_path: Path) -> None:
    path = tmp_path / "run"
    code, out, err = run_train(
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
        "ranks": 1,
        "dataset": "custom",
        "train_images": 50,
        "validation_images": 0,
        "test_images": 20,
        "classes": list(DIGITS),
        "batch_size": 2,
        "learning_rate": 0.01,
        "momentum": 0.0,
        "init": "uniform",
        "schedule": "constant",
        "sampling": "replacement",
        "augmentation": "none",
        "seed": 6,
        "target_accuracy": None,
    }
    assert [event["event"] for event in middle] == ["step", "step", "eval", "step", "eval", "checkpoint"]
    assert list(middle[0]) == ["event", "step", "loss", "learning_rate"]
    assert list(middle[2]) == [
        "event",
        "step",
        "loss",
        "accuracy",
        "train_seconds",
        "epoch",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
    ]
    assert middle[-1] == {"event": "checkpoint", "step": 3, "path": str(path)}
    assert list(end) == END_KEYS
    assert (end["event"], end["steps"], end["device"], end["dataset"], end["seed"]) == (
        "end",
        3,
        "cpu",
        "custom",
        6,
    )
    assert end["loss"] == middle[3]["loss"]
    assert (end["test_accuracy"], end["test_loss"]) == (middle[4]["accuracy"], middle[4]["loss"])


def test_json_and_text_go_together(run_train: Call) -> None:
    code, out, err = run_train("--steps", 1, "--json")
    assert code == 0
    assert [event["event"] for event in json_lines(out)] == ["start", "step", "eval", "end"]
    assert "done: test accuracy" in err


def test_a_preset_and_options_over_it(run_train: Call) -> None:
    code, out, _ = run_train("--preset", "fast", "--steps", 2, "--momentum", 0.25, "--json")
    assert code == 0
    start, first = json_lines(out)[:2]
    fast = PRESETS["fast"]
    assert start["total_steps"] == 2
    assert (start["batch_size"], start["momentum"]) == (2, 0.25)
    for name in ("learning_rate", "init", "schedule", "sampling", "augmentation"):
        assert start[name] == fast[name]
    assert first["learning_rate"] < fast["learning_rate"]


def test_epochs(run_train: Call) -> None:
    _, out, _ = run_train("--epochs", 0.1, "--json")
    assert json_lines(out)[-1]["steps"] == 3  # 50 images / 2 / 10, rounded up


def test_options_reach_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    nothing = {"data_dir": None, "offline": None, "num_classes": None, "resize": False}

    def load(*arguments: object, **options: object) -> Dataset:
        asked.append((arguments, options))
        return small_dataset()

    monkeypatch.setattr(loading, "load", load)
    usual = ["--steps", "1", "--batch-size", "2", "--device", "cpu", "--quiet"]
    main(usual)
    main([*usual, "--dataset", "mnist", "--data-dir", "d", "--offline"])
    main([*usual, "--num-classes", "12", "--resize"])
    assert asked == [
        (("auto",), nothing),
        (("mnist",), nothing | {"data_dir": Path("d"), "offline": True}),
        (("auto",), nothing | {"num_classes": 12, "resize": True}),
    ]


def test_a_target_reached_and_not_reached(run_train: Call) -> None:
    code, out, err = run_train(
        "--steps", 50, "--eval-every", 1, "--target-accuracy", 0.05, "--json", "--quiet"
    )
    assert (code, err) == (0, "")
    assert json_lines(out)[-1]["steps"] < 50
    code, out, err = run_train("--steps", 1, "--target-accuracy", 1, "--json", "--quiet")
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
        (["--steps", "0"], "--steps is 0, expected a whole number from 1"),
        (["--steps", "3", "--epochs", "1"], "argument --epochs: not allowed with argument --steps"),
        (["--learning-rate", "nan"], "--learning-rate is nan"),
        (["--preset", "slow"], "argument --preset: invalid choice: 'slow'"),
        (["--dataset", "cifar"], "argument --dataset: invalid choice: 'cifar'"),
        (["--device", "cuda"], "argument --device: invalid choice: 'cuda'"),
        (["--seed", "-1"], "--seed is -1"),
        (["--threads", "0"], "--threads is 0"),
        (["--target-accuracy", "99"], "--target-accuracy is 99.0"),
        (["--checkpoint-every", "3"], "--checkpoint-every needs a checkpoint"),
        (["--checkpoint", "/absent/run"], "--checkpoint is '/absent/run', but there is no folder '/absent'"),
        (["--plot", "/absent/plot.png"], "--plot is '/absent/plot.png', but there is no folder '/absent'"),
        (["--dataset", "synthetic"], "--data-dir is "),  # drawn digits have no files
    ],
)
def test_bad_usage(run_train: Call, arguments: list[str], words: str) -> None:
    code, out, err = run_train(*arguments)
    assert (code, out) == (2, "")
    assert words in err.splitlines()[-1]


def test_help_and_version(run_train: Call) -> None:
    code, out, _ = run_train("--help")
    assert code == 0
    parser = make_parser("", "", "")
    cli.COMMAND.add_options(parser)
    for option in parser._option_string_actions:
        assert option in out
    assert run_train("--version")[:2] == (0, f"mpsmnist {mpsmnist.__version__}\n")


def test_failures(run_train: Call, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"no checkpoint at all")
    for arguments, words in (
        (("--data-dir", tmp_path / "absent"), "absent"),
        (("--resume", tmp_path / "absent"), "absent' does not exist"),
        (("--resume", tmp_path / "bad"), "not a readable safetensors file"),
        (("--learning-rate", 1e30, "--steps", 50), "training diverged at step "),
    ):
        code, out, err = run_train(*arguments, "--quiet")
        assert (code, out) == (1, "")
        assert err.startswith("python -m mpsmnist.train: ")
        assert words in err
        assert "Traceback" not in err


def _must_not_load(*_: object, **__: object) -> Dataset:
    pytest.fail("data were loaded")


@pytest.mark.skipif("mps" in mpsmnist.devices(), reason="this machine has an Apple GPU")
def test_a_missing_device_is_a_failure_before_data_are_loaded(
    run_train: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "load", _must_not_load)
    code, _, err = run_train("--device", "mps", "--quiet")
    assert code == 1
    assert 'device "mps" is not available: ' in err


def test_resuming_with_another_seed_is_bad_usage(run_train: Call, tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert run_train("--steps", 2, "--checkpoint", path)[0] == 0
    code, _, err = run_train("--resume", path, "--seed", 1)
    assert code == 2
    assert "seed is 1, but the run in" in err.splitlines()[-1]
    code, _, err = run_train("--resume", path, "--preset", "fast")
    assert code == 2
    assert "a resumed run keeps it" in err.splitlines()[-1]
    code, out, _ = run_train("--resume", path, "--steps", 3, "--json")
    assert code == 0
    assert [event["step"] for event in json_lines(out)[:2]] == [2, 3]
    assert checkpoint.load(path).step == 3


def test_what_loading_does_is_told_but_not_to_a_quiet_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object, **__: object) -> Dataset:
        logging.getLogger("mpsmnist.data.mirrors").info("asking %d mirrors", 3)
        return small_dataset()

    monkeypatch.setattr(loading, "load", load)
    run = ["--steps", "1", "--batch-size", "2", "--device", "cpu"]
    assert main(run) == 0
    assert capsys.readouterr().err.splitlines()[0] == "python -m mpsmnist.train: asking 3 mirrors"
    assert main([*run, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert not logging.getLogger("mpsmnist").handlers
    assert logging.getLogger("mpsmnist").level == logging.NOTSET


def test_a_kept_network_is_not_said_to_be_lost(run_train: Call, tmp_path: Path) -> None:
    assert "--checkpoint" not in run_train("--steps", 1, "--checkpoint", tmp_path / "run")[2]


def test_an_existing_checkpoint_is_overwritten_only_on_request(run_train: Call, tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert run_train("--steps", 2, "--checkpoint", path)[0] == 0
    before = path.read_bytes()
    code, out, err = run_train("--steps", 3, "--checkpoint", path)
    assert (code, out) == (2, "")
    assert "which exists: --overwrite" in err.splitlines()[-1]
    assert path.read_bytes() == before
    assert run_train("--steps", 3, "--checkpoint", path, "--overwrite")[0] == 0
    assert checkpoint.load(path).step == 3
    other = tmp_path / "other"
    assert run_train("--steps", 1, "--checkpoint", other)[0] == 0
    assert run_train("--resume", path, "--steps", 4, "--checkpoint", other)[0] == 2
    assert checkpoint.load(other).step == 1


def test_the_checkpoints_place_is_looked_at_before_data_are_loaded(
    run_train: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "load", _must_not_load)
    code, _, err = run_train("--checkpoint", tmp_path / ("n" * 256))
    assert code == 2
    assert "File name too long" in err.splitlines()[-1]


def test_a_finished_run_says_what_to_do_with_it(run_train: Call, tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_train("--steps", 3, "--checkpoint", path)
    code, _, err = run_train("--resume", path)
    assert code == 0
    assert err.splitlines()[1] == (
        "the run is finished at step 3: --steps 6 continues it, --init-from starts a new run from its weights"
    )
    assert "steps 4 to 3" not in err


def test_a_finished_one_cycle_run_is_fine_tuned(run_train: Call, tmp_path: Path) -> None:
    path, new = tmp_path / "run", tmp_path / "new"
    fast = ("--preset", "fast", "--epochs", 0.1)
    run_train(*fast, "--checkpoint", path)
    code, _, err = run_train("--resume", path)
    assert code == 0
    assert "its one-cycle learning rate ends there, --init-from starts a new run" in err
    code, _, err = run_train("--resume", path, "--steps", 6)
    assert code == 2
    assert "--init-from" in err.splitlines()[-1]
    code, out, _ = run_train(*fast, "--seed", 1, "--init-from", path, "--checkpoint", new, "--json")
    assert code == 0
    events = json_lines(out)
    assert (events[0]["step"], events[0]["schedule"], events[1]["step"]) == (0, "one-cycle", 1)
    assert checkpoint.load(new).step == 3
    code, _, err = run_train("--resume", path, "--init-from", path)
    assert code == 2
    assert "give one of them" in err.splitlines()[-1]


def test_synthetic_data_are_announced_even_to_a_quiet_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object, **__: object) -> Dataset:
        warnings.warn("these digits are drawn", SyntheticDataWarning, stacklevel=2)
        return small_dataset()

    monkeypatch.setattr(loading, "load", load)
    assert main(["--steps", "1", "--batch-size", "2", "--device", "cpu", "--quiet"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(": warning:")
    assert lines[1:] == ["*" * 100, "these digits are drawn", "*" * 100]


def test_each_epoch_is_told(run_train: Call) -> None:
    code, _, err = run_train("--epochs", 2.5, "--batch-size", 4, "--validation", 20)
    assert code == 0
    lines = err.splitlines()
    assert lines[0] == "custom: 30 training images, 20 validation images and 20 test images of 10 classes"
    told = [line for line in lines if line.startswith("epoch ")]
    whens = [line.split(":")[0] for line in told]
    assert whens == ["epoch 1.07 of 2.5", "epoch 2 of 2.5", "epoch 2.5 of 2.5"]
    for line, names in zip(told, (["validation"], ["validation"], ["validation", "test"]), strict=True):
        measured = [part.split()[:2] for part in line.partition(": ")[2].split(", ")]
        assert measured == [
            ["training", "accuracy"],
            *([name, "accuracy"] for name in names),
            *([name, "loss"] for name in names),
        ]


def test_one_of_a_thing_is_singular(run_train: Call) -> None:
    _, _, err = run_train("--steps", 1, "--batch-size", 1, "--threads", 1)
    assert "steps 1 to 1, 1 image each, on cpu with 1 thread;" in err
    assert " after 1 step, trained in " in err


def test_a_validation_target_is_named(run_train: Call) -> None:
    code, out, err = run_train("--steps", 1, "--validation", 20, "--target-accuracy", 1, "--json", "--quiet")
    assert code == 1
    assert "the validation accuracy is " in err
    end = json_lines(out)[-1]
    assert f"is {end['validation_accuracy']:.2%}, short" in err
    assert end["test_accuracy"] is not None


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (["--learning-rate", 3], "is probably too high. Try --learning-rate 0.3 or --init he."),
        (["--learning-rate", 3, "--init", "he"], "is probably too high. Try --learning-rate 0.3."),
        (["--learning-rate", 1e-7], "1e-07, may be too low. Try --learning-rate 1e-06 or more steps."),
    ],
)
def test_a_run_at_chance_level_says_so(run_train: Call, options: list[object], advice: str) -> None:
    """However quiet it is, but it is no failure: a target accuracy would make it one."""
    code, out, err = run_train("--steps", 100, *options, "--json", "--quiet")
    assert code == 0
    assert json_lines(out)[-1]["learned"] is False
    assert err.startswith("python -m mpsmnist.train: warning: the network has not learned anything.")
    assert advice in err.splitlines()[-1]
    assert "done, at chance level: test accuracy" in run_train("--steps", 100, *options)[2]


def test_a_run_that_learned_is_not_warned_of(run_train: Call) -> None:
    code, out, err = run_train("--steps", 150, "--init", "he", "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json_lines(out)[-1]["learned"] is True


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (["--steps", 20], list(range(2, 21, 2))),
        (["--steps", 3], [1, 2, 3]),
        (["--epochs", 2], [*range(5, 51, 5)]),  # an epoch is 25 steps: five evaluations each
        (["--epochs", 10], [*range(25, 251, 25)]),
        (["--epochs", 12], [*range(50, 301, 50)]),
        (["--steps", 20, "--eval-every", 15], [15, 20]),
    ],
)
def test_a_picture_gets_about_ten_evaluations(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[object], steps: list[int]
) -> None:
    drawn: list[TrainResult] = []
    monkeypatch.setattr(cli.plot, "save_plot", lambda _path, result, _dataset: drawn.append(result))
    kept = tmp_path / "run"
    assert run_train(*options, "--plot", tmp_path / "run.png", "--checkpoint", kept, "--quiet")[0] == 0
    assert [event.step for event in drawn[0].evaluations] == steps
    asked = options[options.index("--eval-every") + 1] if "--eval-every" in options else None
    assert checkpoint.load(kept).options["eval_every"] == asked  # the picture's interval is no option


def test_the_fastest_device_is_told(run_train: Call) -> None:
    """With figures, where there are several: tests/trainer/test_fastest.py."""
    code, _, err = run_train("--device", "fastest", "--steps", 1)
    assert code == 0
    assert ": device " in err
    _, _, err = run_train("--device", "fastest", "--steps", 1, "--quiet")
    assert err == ""
