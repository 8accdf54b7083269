"""Saves that fail: a warning in the middle of a run; an error at its end, which has the result."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpsmnist import CheckpointError, checkpoint
from mpsmnist.train import CheckpointFailedEvent, DivergedError, TrainConfig, UnsavedError, train
from support.checks import assert_same_state
from support.datasets import small_dataset
from support.training import SMALL, run

FailSaves = Callable[[range], None]


@pytest.fixture
def fail_saves(monkeypatch: pytest.MonkeyPatch) -> FailSaves:
    """fail_saves(range(a, b)): the disk is full for the saves from the a-th up to the b-th, 0-based."""

    def arrange(which: range) -> None:
        original, calls = checkpoint.save, []

        def save(*arguments: Any) -> None:
            calls.append(arguments)
            if len(calls) - 1 in which:
                path = arguments[0]
                raise CheckpointError(f"checkpoint '{path}' cannot be written: {os.strerror(errno.ENOSPC)}")
            original(*arguments)

        monkeypatch.setattr("mpsmnist.training.loop.save_checkpoint", save)

    return arrange


@pytest.mark.parametrize("steps", [6, 7])
def test_a_failed_save_in_the_middle_is_an_event(tmp_path: Path, fail_saves: FailSaves, steps: int) -> None:
    """After 6 steps the save on the way is the last one too, and is tried again."""
    straight, path, events = run(steps=steps), tmp_path / "run", []
    fail_saves(range(1, 3))
    config = TrainConfig(**SMALL, steps=steps, checkpoint=path, checkpoint_every=2)
    result = train(config, dataset=small_dataset(), on_event=events.append)
    failed = [event for event in events if isinstance(event, CheckpointFailedEvent)]
    words = f"checkpoint '{path}' cannot be written: No space left on device"
    assert failed == [(4, path, words), (6, path, words)]
    assert failed[0].as_json() == {"event": "checkpoint_failed", "step": 4, "path": str(path), "error": words}
    assert checkpoint.load(path).step == steps
    assert_same_state(result.trainer.state_dict(), straight.trainer.state_dict())


def test_it_is_a_warning_where_nobody_gets_events(tmp_path: Path, fail_saves: FailSaves) -> None:
    fail_saves(range(1))
    with pytest.warns(RuntimeWarning, match="No space left on device after step 2; the run goes on") as caught:
        run(steps=5, checkpoint=tmp_path / "run", checkpoint_every=2)
    assert len(caught) == 1
    assert checkpoint.load(tmp_path / "run").step == 5


def test_the_error_of_the_last_save_has_the_result(tmp_path: Path, fail_saves: FailSaves) -> None:
    straight = run(steps=5)
    fail_saves(range(1))
    with pytest.raises(UnsavedError, match="No space left") as raised:
        run(steps=5, checkpoint=tmp_path / "run")
    result = raised.value.result
    assert result is not None
    assert (result.steps, result.test_loss, result.interrupted) == (5, straight.test_loss, False)
    assert_same_state(result.trainer.state_dict(), straight.trainer.state_dict())
    assert isinstance(raised.value, CheckpointError)


def test_the_error_of_a_run_that_diverges_has_what_was_finite() -> None:
    losses: list[float] = []
    config = TrainConfig(**SMALL, steps=200, learning_rate=1e6, eval_every=100)
    with pytest.raises(DivergedError) as raised:
        train(config, dataset=small_dataset(), on_step=lambda event: losses.append(event.loss))
    result = raised.value.result
    assert result is not None
    assert result.losses.tolist() == losses
    assert np.isfinite(losses).all()
    assert (result.steps, result.interrupted, result.test_loss) == (len(losses), True, None)
    assert str(raised.value).startswith(f"training diverged at step {len(losses) + 1}: its loss is ")


@pytest.mark.parametrize("kind", [DivergedError, UnsavedError])
def test_the_errors_can_be_pickled(kind: type[DivergedError | UnsavedError]) -> None:
    """Without the result: pools of processes hand errors on."""
    error = kind("what happened", run(steps=1))
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.result) == (kind, "what happened", None)
