"""Odd values of every option of `train` and `predict`: an exit code and a line, never a traceback."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from mpsmnist import Evaluation, Trainer
from mpsmnist.commands.main import main
from support.commands import Call

HUGE = "9" * 400
NUMBERS = ["", "x", "nan", "inf", "-1", "0", "0x10", "1e5000", HUGE, "None", "\u0662\u0663x", "1,5"]
REFUSED = [
    *[("--steps", value) for value in (*NUMBERS, "1.5", "2147483648")],
    *[("--epochs", value) for value in (*NUMBERS, "1e300", "1e308", "1e10")],
    *[("--batch-size", value) for value in (*NUMBERS, "100000000", "2147483647", str(2**63))],
    *[("--learning-rate", value) for value in (*NUMBERS, "1e39", "1e-46", "-0.0")],
    *[("--momentum", value) for value in ("nan", "-1e-50", "1", "0.999999999999", "1e39", HUGE)],
    *[("--seed", value) for value in ("-1", "1.0", str(2**64), HUGE, "")],
    *[("--threads", value) for value in ("0", "-1", "1025", "2000", "2147483647", HUGE)],
    *[("--validation", value) for value in ("0", "50", "-1", HUGE)],
    *[("--eval-every", value) for value in ("0", "-5", "2147483648", HUGE)],
    *[("--target-accuracy", value) for value in ("0", "-0.1", "1.01", "99", "nan")],
    *[("--init", value) for value in ("", "HE", "zeros")],
    *[("--schedule", value) for value in ("", "cosine")],
    *[("--sampling", value) for value in ("", "none")],
    *[("--device", value) for value in ("", "cuda", "CPU")],
    *[("--dataset", value) for value in ("", "cifar", "../mnist", "mnist\udcff")],
    *[("--preset", value) for value in ("", "slow")],
    *[("--data-dir", value) for value in ("", "/dev/null", "/absent", "a" * 5000, "\udcff")],
    *[("--resume", value) for value in ("", "/dev/null", "/", "/absent", "a" * 5000, "\udcff")],
    *[("--checkpoint", value) for value in ("", "/", "/absent/run", "a" * 5000, "\udcff/run")],
    *[("--plot", value) for value in ("", "/", "/absent/plot.png", "a" * 5000)],
]
ACCEPTED = [
    ("--epochs", "5e-324"),
    ("--learning-rate", "1e-44"),
    ("--momentum", "1e-46"),
    ("--seed", str(2**64 - 1)),
    ("--eval-every", "2147483647"),
    ("--checkpoint", "\udcff \N{SNOWMAN}"),
]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"  # an empty --data-dir is the current folder, and data below it would be found
    empty.mkdir()
    monkeypatch.chdir(empty)


def shown(case: tuple[str, str]) -> str:
    return ascii(f"{case[0]} {case[1][:20]}")


@pytest.mark.parametrize("case", REFUSED, ids=shown)
def test_an_odd_value_is_refused(run_train: Call, case: tuple[str, str]) -> None:
    length = () if case[0] in ("--steps", "--epochs") else ("--steps", 1)
    code, out, err = run_train(*length, "--quiet", *case)
    assert (code in (1, 2), out) == (True, "")
    assert "Traceback" not in err
    usage, _, message = err.rpartition("python -m mpsmnist.train: ")
    assert len(message.splitlines()) <= 2  # the second is a hint
    assert usage in ("", "Help: python -m mpsmnist.train --help\n")


@pytest.mark.parametrize("case", ACCEPTED, ids=shown)
def test_an_odd_value_is_accepted(run_train: Call, case: tuple[str, str]) -> None:
    length = () if case[0] == "--epochs" else ("--steps", 1)
    assert run_train(*length, "--quiet", *case) == (0, "", "")


def test_as_many_steps_and_evaluations_as_can_be(run_train: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not listed, which would take gigabytes."""

    def evaluate(*_: object) -> Evaluation:
        os.kill(os.getpid(), signal.SIGTERM)
        return Evaluation(loss=2.3, accuracy=0.0, correct=0, total=20)

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    code, _, err = run_train("--steps", 2**31 - 1, "--eval-every", 1, "--quiet")
    assert (code, err) == (143, "python -m mpsmnist.train: interrupted by SIGTERM after step 1\n")


@pytest.mark.parametrize("threads", ["0", "-1", "1025", HUGE, "x", "1.0"])
def test_odd_threads_of_predict(call: Call, threads: str) -> None:
    code, out, err = call(main, ["predict", "a.png", "--checkpoint", "run", "--threads", threads])
    assert (code, out) == (2, "")
    assert "--threads" in err.splitlines()[-1]
    assert call(main, ["train", "--threads", threads]) == (2, "", err.replace("predict", "train"))


@pytest.mark.parametrize("picture", ["", "/", "/dev/null", "a" * 5000, "\udcff"])
def test_odd_names_of_pictures(call: Call, run_train: Call, picture: str) -> None:
    assert run_train("--steps", 1, "--quiet", "--checkpoint", "run")[0] == 0
    code, out, err = call(main, ["predict", picture, "--checkpoint", "run"])
    assert (code, out) == (1, "")
    assert err.startswith("mpsmnist predict: ")
    assert len(err.splitlines()) == 1
