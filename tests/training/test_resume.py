"""Runs that go on from a checkpoint: the same bits, and refusals to become another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpsmnist import checkpoint
from mpsmnist.train import (
    CheckpointEvent,
    ConfigError,
    TrainConfig,
    resumed_config,
    train,
)
from support.checks import assert_same_state
from support.datasets import small_dataset
from support.training import CYCLE, SMALL, run


@pytest.mark.parametrize(
    "options", [SMALL, SMALL | {"momentum": 0.5}, CYCLE], ids=["original", "momentum", "cycle"]
)
@pytest.mark.parametrize("at", [1, 13, 30])
def test_a_resumed_run_has_the_same_bits(tmp_path: Path, options: dict[str, Any], at: int) -> None:
    data, path = small_dataset(), tmp_path / "run"
    straight = train(TrainConfig(**options, steps=30, seed=3), dataset=data)

    saved: list[CheckpointEvent] = []

    def save_event(event: object) -> None:
        if isinstance(event, CheckpointEvent):
            saved.append(event)

    config = TrainConfig(**options, steps=30, seed=3, checkpoint=path, checkpoint_every=at)
    first = train(config, dataset=data, on_event=save_event, stop=lambda: bool(saved))
    assert first.steps == at
    second = train(resumed_config(path, checkpoint_every=None), dataset=data)
    np.testing.assert_array_equal(np.concatenate([first.losses, second.losses]), straight.losses)
    assert_same_state(second.trainer.state_dict(), straight.trainer.state_dict())
    assert_same_state(checkpoint.load(path).state, straight.trainer.state_dict())
    assert (second.test_accuracy, second.test_loss) == (straight.test_accuracy, straight.test_loss)


def stop_in_evaluation_at(step: int, config: TrainConfig) -> None:
    """Train until the evaluation after `step` begins, and stop in it."""
    steps, asked_after_it = [0], []

    def stop() -> bool:
        if steps[-1] == step:
            asked_after_it.append(step)  # first in the evaluation, which comes before the next chunk
        return bool(asked_after_it)

    result = train(config, dataset=small_dataset(), on_step=lambda event: steps.append(event.step), stop=stop)
    assert (result.steps, result.interrupted) == (step, True)
    assert all(event.step < step for event in result.evaluations)


def test_the_evaluation_that_a_run_was_stopped_in_is_made_up(tmp_path: Path) -> None:
    straight, path = run(steps=12, eval_every=4), tmp_path / "run"
    stop_in_evaluation_at(8, TrainConfig(**SMALL, steps=12, eval_every=4, checkpoint=path))
    resumed = train(resumed_config(path), dataset=small_dataset())
    later = [(e.step, e.accuracy, e.loss) for e in straight.evaluations if e.step >= 8]
    assert [(e.step, e.accuracy, e.loss) for e in resumed.evaluations] == later
    assert_same_state(resumed.trainer.state_dict(), straight.trainer.state_dict())


@pytest.mark.parametrize("validation", [None, 20])
def test_a_resumed_run_that_had_reached_its_target_ends_where_it_did(
    tmp_path: Path, validation: int | None
) -> None:
    options = SMALL | {"steps": 12, "eval_every": 4, "target_accuracy": 1e-9, "validation": validation}
    straight, path = train(TrainConfig(**options), dataset=small_dataset()), tmp_path / "run"
    stop_in_evaluation_at(straight.steps, TrainConfig(**options, checkpoint=path))
    for _ in range(2):  # the second time, the run had ended by itself
        resumed = train(resumed_config(path), dataset=small_dataset())
        assert (resumed.steps, resumed.target_reached, resumed.loss) == (straight.steps, True, None)
        assert (resumed.test_accuracy, resumed.test_loss) == (straight.test_accuracy, straight.test_loss)
        assert checkpoint.load(path).step == straight.steps


def test_a_run_that_is_done_can_be_evaluated_and_prolonged(tmp_path: Path) -> None:
    data, path = small_dataset(), tmp_path / "run"
    first = train(TrainConfig(**SMALL, steps=4, checkpoint=path), dataset=data)
    again = train(resumed_config(path), dataset=data)
    assert (again.steps, again.loss, again.test_loss) == (4, None, first.test_loss)
    longer = train(resumed_config(path, steps=9), dataset=data)
    straight = train(TrainConfig(**SMALL, steps=9), dataset=data)
    assert_same_state(longer.trainer.state_dict(), straight.trainer.state_dict())


def test_a_resumed_run_keeps_its_options_and_place(tmp_path: Path) -> None:
    path = tmp_path / "run"
    options = CYCLE | {"seed": 2**64 - 1, "eval_every": 3, "target_accuracy": 0.9, "checkpoint_every": 2}
    train(TrainConfig(**options, epochs=0.1, checkpoint=path), dataset=small_dataset())
    config = resumed_config(path)
    assert config == TrainConfig(**options, epochs=0.1, dataset="discs", checkpoint=path, resume=path)
    elsewhere = resumed_config(
        path, checkpoint=tmp_path / "other", eval_every=4, dataset="auto", seed=2**64 - 1
    )
    assert (elsewhere.checkpoint, elsewhere.eval_every) == (tmp_path / "other", 4)
    assert elsewhere.dataset == "discs"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "seed is 1, but the run in .* has 0: a resumed run keeps it, `init_from"),
        ({"batch_size": 4}, "batch_size is 4, but the run in .* has 2"),
        ({"learning_rate": 0.1}, "learning_rate is 0.1, but"),
        ({"momentum": 0.5}, "momentum is 0.5, but"),
        ({"init": "he"}, "init is 'he', but"),
        ({"schedule": "one-cycle"}, "schedule is 'one-cycle', but"),
        ({"sampling": "shuffle"}, "sampling is 'shuffle', but"),
        ({"augmentation": "distort"}, "augmentation is 'distort', but the run in .* has 'none'"),
        ({"dataset": "mnist"}, "dataset is 'mnist', but the run in .* trains on 'discs'"),
        ({"steps": 3}, "steps is 3, but the run in .* is at step 4 already: give the length"),
        ({"steps": None, "epochs": 0.1}, "epochs is 0.1, or 3 steps, but the run in .* is at step 4 already"),
        ({"validation": 20}, "validation is 20, but the run in .* has none: a resumed run keeps it"),
    ],
)
def test_a_resumed_run_cannot_become_another(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = tmp_path / "run"
    run(steps=4, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=words):
        train(resumed_config(path, **changes), dataset=small_dataset())
    with pytest.raises(ConfigError, match=words):
        train(TrainConfig(**SMALL | {"steps": 4, "resume": path} | changes), dataset=small_dataset())
    assert path.read_bytes() == before


def test_a_one_cycle_run_cannot_be_prolonged(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(TrainConfig(**CYCLE, steps=4, checkpoint=path), dataset=small_dataset())
    with pytest.raises(
        ConfigError, match="has 4 steps, not 5: its one-cycle schedule depends on their number; `init_from"
    ):
        train(resumed_config(path, steps=5), dataset=small_dataset())


def test_other_data_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run(steps=2, checkpoint=path)
    with pytest.raises(ConfigError, match="the training set is not the one"):
        train(resumed_config(path), dataset=small_dataset(seed=1))
