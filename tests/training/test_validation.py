"""Held-out images, and what is evaluated by which images."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from mpsmnist import checkpoint
from mpsmnist.train import ConfigError, StartEvent, StepEvent, TrainConfig, resumed_config, train
from mpsmnist.training import loop
from mpsmnist.training import split as split_module
from mpsmnist.training.sampling import held_out
from mpsmnist.training.split import split
from support.checks import assert_same_state
from support.datasets import small_dataset
from support.training import CYCLE, SMALL, run


def rows(images: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in images]


def test_held_out_images_are_the_seeds_and_no_others() -> None:
    mask = held_out(1000, 200, seed=3)
    assert (mask.dtype, mask.shape, int(mask.sum())) == (np.bool_, (1000,), 200)
    np.testing.assert_array_equal(mask, held_out(1000, 200, seed=3))
    assert (mask != held_out(1000, 200, seed=4)).any()
    assert (held_out(1000, 300, seed=3) >= mask).all()


def test_held_out_images_are_spread_evenly() -> None:
    """Fifths of the set get about 100 of 500 each: within four standard deviations of a draw."""
    counts = held_out(2500, 500, seed=0).reshape(5, 500).sum(axis=1)
    deviation = (500 * 0.2 * 0.8 * 0.8) ** 0.5
    assert abs(counts - 100).max() < 4 * deviation


def test_a_split_loses_and_doubles_no_image() -> None:
    data = small_dataset()
    parts = split(data, 20, seed=1)
    assert parts.validation is not None
    assert (len(parts.train.images), len(parts.validation.images)) == (30, 20)
    assert sorted(rows(parts.train.images) + rows(parts.validation.images)) == sorted(rows(data.train_images))
    labels = dict(zip(rows(data.train_images), data.train_labels.tolist(), strict=True))
    for part in (parts.train, parts.validation):
        assert [labels[image] for image in rows(part.images)] == part.labels.tolist()
    assert parts.train_sample is parts.train
    assert rows(parts.test.images) == rows(data.test_images)


def test_the_sample_is_spread_over_the_training_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_module, "TRAIN_SAMPLE", 20)
    data = small_dataset()
    sample = split(data, None, seed=0).train_sample
    chosen = [5 * i // 2 for i in range(20)]
    assert rows(sample.images) == rows(data.train_images[chosen])
    assert sample.labels.tolist() == data.train_labels[chosen].tolist()


def test_nothing_is_trained_on_held_out_images() -> None:
    """A run that holds images out is the run on the others."""
    data = small_dataset()
    with_validation = train(TrainConfig(**CYCLE, epochs=1, validation=20, seed=2), dataset=data)
    kept = split(data, 20, seed=2).train
    without = dataclasses.replace(data, train_images=kept.images, train_labels=kept.labels)
    straight = train(TrainConfig(**CYCLE, epochs=1, seed=2), dataset=without)
    assert with_validation.steps == 15
    np.testing.assert_array_equal(with_validation.losses, straight.losses)
    assert_same_state(with_validation.trainer.state_dict(), straight.trainer.state_dict())


def test_held_out_images_are_evaluated_and_the_test_images_once_at_the_end() -> None:
    data = small_dataset()
    events: list[Any] = []
    config = TrainConfig(**SMALL, steps=6, eval_every=2, validation=20)
    result = train(config, dataset=data, on_event=events.append)
    start, *evaluations = events
    assert isinstance(start, StartEvent)
    assert (start.as_json()["train_images"], start.as_json()["validation_images"]) == (30, 20)
    assert [event.step for event in evaluations] == [2, 4, 6]
    assert [event.accuracy is None for event in evaluations] == [True, True, False]
    assert [event.loss is None for event in evaluations] == [True, True, False]
    validation, test = split(data, 20, config.seed).validation, (data.test_images, data.test_labels)
    assert validation is not None
    by_validation, by_test = result.trainer.evaluate(*validation), result.trainer.evaluate(*test)
    assert (result.validation_loss, result.validation_accuracy) == by_validation[:2]
    assert evaluations[-1].validation_accuracy == by_validation.accuracy
    assert (result.test_loss, result.test_accuracy) == by_test[:2]
    assert (evaluations[-1].loss, evaluations[-1].accuracy) == by_test[:2]


def test_a_target_is_reached_by_held_out_images() -> None:
    data = small_dataset()
    options = SMALL | {"eval_every": 1, "validation": 20}
    straight = train(TrainConfig(**options, steps=12), dataset=data)
    accuracies = [event.validation_accuracy for event in straight.evaluations]
    target = max(accuracy for accuracy in accuracies if accuracy is not None)
    result = train(TrainConfig(**options, steps=12, target_accuracy=target), dataset=data)
    assert result.steps == accuracies.index(target) + 1
    assert (result.target_reached, result.validation_accuracy) == (True, target)
    assert result.test_accuracy is not None
    impossible = train(TrainConfig(**options, steps=2, target_accuracy=1.0), dataset=data)
    assert impossible.target_reached is False


def test_test_images_that_are_read_wrong_do_not_matter_to_a_target() -> None:
    data = small_dataset()
    data = dataclasses.replace(data, test_labels=(data.test_labels + 1) % 10)
    config = TrainConfig(**CYCLE | {"batch_size": 10}, epochs=20, validation=20, target_accuracy=0.8)
    result = train(config, dataset=data)
    assert result.target_reached is True
    assert result.test_accuracy is not None
    assert result.test_accuracy < 0.5


def test_each_epoch_is_evaluated_with_training_accuracy_beside_it() -> None:
    data = small_dataset()
    evaluations: list[Any] = []

    def watch(event: object) -> None:
        if not isinstance(event, StartEvent):
            evaluations.append(event)

    config = TrainConfig(**SMALL | {"batch_size": 4}, epochs=2.5, eval_every=10)
    result = train(config, dataset=data, on_event=watch)
    assert [event.step for event in evaluations] == [10, 13, 23, 25, 32]  # an epoch is 12.5 steps
    assert [event.epoch for event in evaluations] == [0.8, 1.04, 1.84, 2.0, 2.5]
    assert [event.train_accuracy is None for event in evaluations] == [True, False, True, False, False]
    assert all(event.accuracy is not None for event in evaluations)
    measured = result.trainer.evaluate(data.train_images, data.train_labels)
    assert (result.train_loss, result.train_accuracy) == measured[:2]
    assert (evaluations[-1].train_loss, evaluations[-1].train_accuracy) == measured[:2]


def test_a_run_in_steps_measures_no_training_accuracy() -> None:
    result = run(steps=25, eval_every=25)
    assert [(event.epoch, event.train_accuracy) for event in result.evaluations] == [(None, None)]
    assert result.train_accuracy is None


def test_a_resumed_run_holds_the_same_images_out_and_evaluates_each_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "MAX_CHUNK", 1)  # so that it stops between two evaluations, not in the next one
    data, path = small_dataset(), tmp_path / "run"
    options = CYCLE | {"epochs": 3, "validation": 20, "seed": 5}
    straight = train(TrainConfig(**options), dataset=data)
    steps: list[StepEvent] = []
    first = train(
        TrainConfig(**options, checkpoint=path),
        dataset=data,
        on_step=steps.append,
        stop=lambda: len(steps) > 15,  # in the second epoch
    )
    assert first.interrupted
    second = train(resumed_config(path), dataset=data)
    np.testing.assert_array_equal(np.concatenate([first.losses, second.losses]), straight.losses)
    assert_same_state(second.trainer.state_dict(), straight.trainer.state_dict())
    seen = [event._replace(train_seconds=0.0) for event in (*first.evaluations, *second.evaluations)]
    assert seen == [event._replace(train_seconds=0.0) for event in straight.evaluations]
    assert [event.step for event in seen] == [15, 30, 45]


def test_a_resumed_run_cannot_hold_other_images_out(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run(steps=4, validation=10, checkpoint=path)
    with pytest.raises(ConfigError, match=r"validation is 20, but the run in .* has 10: a"):
        resumed_config(path, validation=20)
    with pytest.raises(ConfigError, match=r"validation is none, but the run in .* has 10"):
        run(steps=4, resume=path)


def test_checkpoints_without_the_new_options_still_load(tmp_path: Path) -> None:
    """As format 2 wrote them before there were held-out images and evaluated epochs."""
    path = tmp_path / "run"
    run(steps=4, checkpoint=path)
    options = checkpoint.load(path).options
    with safe_open(path, framework="numpy") as file:
        metadata, state = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    fields = json.loads(metadata["run"])
    for name in ("validation", "epochs", "augmentation"):
        del fields["options"][name]
    save_file(state, path, metadata | {"run": json.dumps(fields)})
    assert checkpoint.load(path).options == options
    result = train(resumed_config(path, steps=6), dataset=small_dataset())
    assert_same_state(result.trainer.state_dict(), run(steps=6).trainer.state_dict())


def test_too_many_held_out_images_are_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="validation is 50, expected fewer than the 50 training images"):
        run(steps=1, validation=50)
