"""`train --distributed`: processes that mpirun has started train one network together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mpsmnist import checkpoint
from mpsmnist.commands.distributed import warn_of_mpirun
from support import ranks
from support.commands import SMALL, json_lines
from support.commands import run as run_alone
from support.small_mnist import write_set

pytestmark = ranks.needs_mpi

CYCLE = ("--init", "he", "--momentum", 0.9, "--schedule", "one-cycle", "--learning-rate", 0.02, "--sampling")
RUN = (*SMALL, *CYCLE, "shuffle", "--batch-size", 5, "--distributed")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("data"))


def weights(path: Path) -> np.ndarray:
    state = checkpoint.load(path).state
    return np.concatenate([state[name].ravel() for name in sorted(state)])


def assert_close(path: Path, other: Path) -> None:
    """Sums in another order: the rounding of a few steps, far below what a wrong gradient would change."""
    ours, theirs = weights(path), weights(other)
    assert np.abs(ours - theirs).max() <= 2e-6 * np.abs(theirs).max()


@pytest.mark.parametrize(
    ("count", "more"),
    [
        (1, ()),
        (2, ()),
        (3, ()),
        (2, ("--augmentation", "distort")),
        (2, ("--batch-size", 121, "--sampling", "replacement", "--steps", 2)),
    ],
)
def test_the_weights_are_those_of_one_process(tmp_path: Path, data: Path, count: int, more: tuple) -> None:
    """A batch of 5 is ragged for 2 and for 3 ranks, which gather factors of fc0's gradient; of 121, for 2.

    Two steps of so many images round as much as four of five.
    """
    options = (*RUN[:-1], "--data-dir", data, "--steps", 4, *more, "--json")
    alone = run_alone("train", *options, "--checkpoint", tmp_path / "alone")
    together = ranks.run(ranks.words(count, *options, "--distributed", "--checkpoint", tmp_path / "together"))
    assert (alone.returncode, together.returncode) == (0, 0), together.stderr
    assert_close(tmp_path / "together", tmp_path / "alone")
    expected, events = json_lines(alone.stdout), json_lines(together.stdout)
    assert [event["event"] for event in events] == [event["event"] for event in expected]
    assert (events[0]["ranks"], expected[0]["ranks"]) == (count, 1)
    losses = [[e["loss"] for e in found if e["event"] in ("step", "eval")] for found in (events, expected)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert events[-1]["test_accuracy"] == expected[-1]["test_accuracy"]


def test_the_bits_are_the_same_in_every_run(tmp_path: Path, data: Path) -> None:
    for name in ("first", "second"):
        line = ranks.words(3, *RUN, "--data-dir", data, "--steps", 5, "--checkpoint", tmp_path / name)
        assert ranks.run(line).returncode == 0
    assert weights(tmp_path / "first").tobytes() == weights(tmp_path / "second").tobytes()


def test_a_run_goes_on_with_another_number_of_ranks(tmp_path: Path, data: Path) -> None:
    options = (*RUN, "--data-dir", data, "--steps", 6)
    whole = ranks.run(ranks.words(2, *options, "--checkpoint", tmp_path / "whole"))
    # A one-cycle run is longer from the start: stop it in the middle by its target, which it reaches at once.
    half = ranks.run(
        ranks.words(
            2, *options, "--checkpoint", tmp_path / "half", "--eval-every", 3, "--target-accuracy", 0.01
        )
    )
    assert (whole.returncode, half.returncode) == (0, 0), half.stderr
    assert checkpoint.load(tmp_path / "half").step == 3
    line = ranks.words(
        3, "--distributed", "--data-dir", data, "--resume", tmp_path / "half", "--target-accuracy", 1
    )
    resumed = ranks.run(line)
    assert "short of the target" in resumed.stderr
    assert checkpoint.load(tmp_path / "half").step == 6
    assert_close(tmp_path / "half", tmp_path / "whole")


def test_rank_0_alone_reports(data: Path) -> None:
    line = ranks.words(2, *RUN, "--data-dir", data, "--steps", 2)
    errors = ranks.run(line).stderr
    assert errors.count("steps 1 to 2, 5 images each, on 2 ranks, each on cpu with") == 1
    assert errors.count("done") == 1


def test_a_rank_without_the_data_ends_all(tmp_path: Path, data: Path) -> None:
    nowhere = tmp_path / "nowhere"
    places = ({"MPSMNIST_DATA_DIR": str(data)}, {"MPSMNIST_DATA_DIR": str(nowhere)})
    ended = ranks.run(ranks.words(2, *RUN, "--steps", 10**6, each=places))
    assert ended.returncode == 1
    assert f"rank 1: the data folder '{nowhere}' (from MPSMNIST_DATA_DIR) does not exist" in ended.stderr


FEWER = {"train_images": np.ones((9, 28, 28), np.uint8) * 9, "train_labels": np.zeros(9, np.uint8)}


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        ({"train_labels": np.zeros(30, np.uint8)}, (), "the training images' checksum: "),
        (FEWER, ("--validation", 20), "the training images' checksum: "),  # which are too few on rank 1 alone
        ({"test_labels": np.full(20, 11, np.uint8)}, (), "the number of classes: 12 "),  # other weights, too
    ],
)
def test_a_rank_with_other_data_ends_all(
    tmp_path: Path, data: Path, changed: dict[str, np.ndarray], options: tuple[object, ...], message: str
) -> None:
    other = write_set(tmp_path / "other", **changed)
    places = ({"MPSMNIST_DATA_DIR": str(data)}, {"MPSMNIST_DATA_DIR": str(other)})
    ended = ranks.run(ranks.words(2, *RUN, *options, "--steps", 10**6, each=places))
    assert ended.returncode == 1
    assert message in ended.stderr
    assert "on rank 1, expected" in ended.stderr


# What goes wrong in a script of one's own, and what it says. Labels that a rank refuses are not taken for a
# sum of gradients that is not finite, which all ranks refuse.
FAILURES = {
    "labels[7] = 200": "ValueError: labels: label 200 at index 0 is out of range",
    "on_step = refuse": "LookupError: rank 1 had enough",
    "on_step = interrupt": "KeyboardInterrupt",
}
SCRIPT = """
import dataclasses
import os
import signal
import sys

from mpsmnist.data import load
from mpsmnist.training.config import TrainConfig
from mpsmnist.training.loop import train


def refuse(event):
    if os.environ["OMPI_COMM_WORLD_RANK"] == "1":
        raise LookupError("rank 1 had enough")


def interrupt(event):
    if os.environ["OMPI_COMM_WORLD_RANK"] == "1":
        os.kill(os.getpid(), signal.SIGINT)


dataset = load(data_dir=sys.argv[1])
labels, on_step = dataset.train_labels.copy(), None
{change}
config = TrainConfig(distributed=True, device="cpu", batch_size=2, steps=10**6)
train(config, dataset=dataclasses.replace(dataset, train_labels=labels), on_step=on_step)
"""


@pytest.mark.parametrize("change", FAILURES)
@pytest.mark.parametrize("launcher", [(), ("-m", "mpi4py")])
def test_an_exception_on_one_rank_ends_a_script_on_all(
    tmp_path: Path, data: Path, change: str, launcher: tuple[str, ...]
) -> None:
    ended = _run_script(tmp_path, SCRIPT.format(change=change), data, *launcher)
    assert ended.returncode == (130 if "interrupt" in change else 1), ended.stderr
    assert FAILURES[change] in ended.stderr


DIVERGING = """
import sys

from mpsmnist.training.config import TrainConfig
from mpsmnist.training.loop import DivergedError, train

for rate in (1e38, 0.01):
    try:
        train(TrainConfig(distributed=True, device="cpu", steps=1, learning_rate=rate, data_dir=sys.argv[1]))
    except DivergedError as error:
        print(error, error.result.steps)
print("the end")
"""


def test_all_ranks_get_to_know_what_the_evaluation_finds(tmp_path: Path, data: Path) -> None:
    """A script may catch it, and go on."""
    ended = _run_script(tmp_path, DIVERGING, data)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("the test loss after it is nan 1\n") == 2, ended.stdout
    assert ended.stdout.count("the end") == 2


BAR = """
import sys

from mpsmnist.training.config import TrainConfig
from mpsmnist.training.loop import train

config = TrainConfig(distributed=True, device="cpu", steps=1, data_dir=sys.argv[1])
train(config, progress=True)
"""


def test_rank_0_alone_shows_progress(tmp_path: Path, data: Path) -> None:
    ended = _run_script(tmp_path, BAR, data)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("| 0/1 [") == 1, ended.stderr


def _run_script(folder: Path, text: str, data: Path, *launcher: str) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(text)
    assert ranks.MPIRUN is not None
    return ranks.run([ranks.MPIRUN, "-n", "2", sys.executable, *launcher, str(script), str(data)])


def test_a_picture_is_drawn(tmp_path: Path, data: Path) -> None:
    """Its curves are evaluated on the way, which all ranks wait for."""
    options = (*RUN, "--data-dir", data, "--steps", 4, "--json", "--plot", tmp_path / "run.svg")
    ended = ranks.run(ranks.words(2, *options))
    assert ended.returncode == 0, ended.stderr
    assert [event["event"] for event in json_lines(ended.stdout)].count("eval") == 4
    assert (tmp_path / "run.svg").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--batch-size", 1), 2, "error: --batch-size is 1, expected at least the 2 ranks"),
        (("--learning-rate", 1e30), 1, "training diverged at step"),
    ],
)
def test_what_all_ranks_find_is_said_once(data: Path, options: tuple, code: int, message: str) -> None:
    ended = ranks.run(ranks.words(2, *RUN, "--data-dir", data, "--steps", 100, *options))
    assert (ended.returncode, ended.stderr.count(message)) == (code, 1), ended.stderr


def test_a_run_that_diverges_ends_as_that_of_one_process(tmp_path: Path, data: Path) -> None:
    """With the same words, and the last good checkpoint in place."""
    options = (*SMALL, "--data-dir", data, "--steps", 9, "--learning-rate", 1e5, "--checkpoint-every", 1)
    alone = run_alone("train", *options, "--quiet", "--checkpoint", tmp_path / "alone")
    line = ranks.words(2, *options, "--quiet", "--distributed", "--checkpoint", tmp_path / "together")
    together = ranks.run(line)
    assert (alone.returncode, together.returncode) == (1, 1), together.stderr
    said = alone.stderr.split(": ", 1)[1]
    assert "training diverged at step" in said
    assert together.stderr.count(said) == together.stderr.count("diverged") == 1, together.stderr
    kept = [checkpoint.load(tmp_path / name) for name in ("alone", "together")]
    assert kept[0].step == kept[1].step > 0
    assert np.isfinite(weights(tmp_path / "together")).all()


def _rank_processes(parent: int) -> list[int]:
    """The processes of the ranks, in no order: Linux's /proc lists the children of each."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    found: list[int] = []
    for child in map(int, children):
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"mpsmnist.train" in command and b"mpirun" not in command and b"prterun" not in command:
            found.append(child)
        found += _rank_processes(child)
    return found


def _wait_for_steps(started: subprocess.Popen[str]) -> None:
    assert started.stdout is not None
    for line in started.stdout:
        if '"step"' in line and '"event": "step"' in line:
            return
    raise AssertionError("the run ended")


@pytest.mark.skipif(sys.platform != "linux", reason="the ranks' processes are found in Linux's /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_rank_that_is_ended_ends_all(tmp_path: Path, data: Path, number: signal.Signals) -> None:
    """One that can still do so tells the others, and the run is saved."""
    line = ranks.words(
        2, *RUN, "--data-dir", data, "--steps", 10**6, "--json", "--checkpoint", tmp_path / "run"
    )
    with ranks.start(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        try:
            _wait_for_steps(started)
            os.kill(max(_rank_processes(started.pid)), number)
            begin = time.monotonic()
            _, errors = started.communicate(timeout=60)
        finally:
            started.kill()
    assert time.monotonic() - begin < 30
    assert started.returncode != 0
    saved = number == signal.SIGTERM
    assert (tmp_path / "run").exists() == saved
    assert (f"saved to {tmp_path / 'run'}" in errors) == saved
    assert ("another rank was interrupted after step" in errors) == saved


def test_without_mpirun_it_says_so(data: Path) -> None:
    ended = run_alone("train", *RUN, "--data-dir", data, "--steps", 2)
    assert ended.returncode == 0
    assert "this is the only process: mpirun -n 2 python -m mpsmnist.train --distributed" in ended.stderr


def test_a_process_that_mpi_leaves_alone_does_not_train(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """MPI gives a world of its own to a rank whose mpirun was killed before, or is that of another MPI."""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    ended = run_alone("train", *RUN, "--data-dir", data, "--steps", 2)
    assert ended.returncode == 1
    assert "mpirun has started 2 processes, but MPI knows this one alone" in ended.stderr


def test_mpirun_without_the_option_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PMI_SIZE", raising=False)
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    warn_of_mpirun("prog")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    warn_of_mpirun("prog")
    assert capsys.readouterr().err.startswith("prog: warning: 4 processes were started, and each trains a")
