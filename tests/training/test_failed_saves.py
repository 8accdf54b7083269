"""Saves that fail: a warning in the middle of a run; an error at its end, which has the result."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from mpsmnist import CheckpointError, checkpoint
from mpsmnist.train import CheckpointFailedEvent, DivergedError, TrainConfig, UnsavedError, train
from support.checks import assert_same_state
from support.datasets import small_dataset
from support.training import SMALL, fail_saves, run


@pytest.mark.parametrize("steps", [6, 7])
def test_a_failed_save_in_the_middle_is_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """After 6 steps the save on the way is the last one too, and is tried again."""
    straight, path = run(steps=steps), tmp_path / "run"
    events: list[object] = []
    fail_saves(monkeypatch, range(1, 3))
    config = TrainConfig(**SMALL, steps=steps, checkpoint=path, checkpoint_every=2)
    result = train(config, dataset=small_dataset(), on_event=events.append)
    failed = [event for event in events if isinstance(event, CheckpointFailedEvent)]
    words = f"checkpoint '{path}' cannot be written: No space left on device"
    assert failed == [(4, path, words), (6, path, words)]
    assert failed[0].as_json() == {"event": "checkpoint_failed", "step": 4, "path": str(path), "error": words}
    assert checkpoint.load(path).step == steps
    assert_same_state(result.trainer.state_dict(), straight.trainer.state_dict())


def test_it_is_a_warning_where_nobody_gets_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_saves(monkeypatch, range(1))
    with pytest.warns(RuntimeWarning, match="step 2 is not saved, the run goes on: .* No space") as caught:
        run(steps=5, checkpoint=tmp_path / "run", checkpoint_every=2)
    assert len(caught) == 1
    assert checkpoint.load(tmp_path / "run").step == 5


def test_the_error_of_the_last_save_has_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = run(steps=5)
    fail_saves(monkeypatch, range(1))
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
