"""The training loop as a library: what it trains, reports, measures and saves."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpsmnist import CheckpointError, DatasetError, Trainer, checkpoint
from mpsmnist.data import Dataset, synthetic
from mpsmnist.train import (
    CheckpointEvent,
    ConfigError,
    DivergedError,
    EvaluationEvent,
    StartEvent,
    StepEvent,
    TrainConfig,
    train,
)
from mpsmnist.training.loop import EVALUATION_CHUNK
from mpsmnist.training.sampling import Sampler
from mpsmnist.training.schedule import learning_rates
from support.checks import assert_same_state
from support.datasets import small_dataset, write_mnist
from support.training import CYCLE, SMALL, run


class StopAfter:
    """Asks a run to stop after its first `calls` chunks."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def __call__(self) -> bool:
        self.calls -= 1
        return self.calls < 0


@pytest.mark.parametrize("options", [SMALL, CYCLE], ids=["original", "one-cycle"])
def test_a_run_is_the_steps_that_its_options_describe(options: dict[str, Any]) -> None:
    data = small_dataset()
    result = train(TrainConfig(**options, steps=30, seed=5, eval_every=7), dataset=data)

    by_hand = Trainer(
        device="cpu", momentum=options.get("momentum", 0.0), seed=5, init=options.get("init", "uniform")
    )
    sampler = Sampler(
        options.get("sampling", "replacement"), size=len(data.train_images), batch_size=2, seed=5
    )
    rates = learning_rates(
        options.get("schedule", "constant"), options.get("learning_rate", 0.01), first=0, count=30, total=30
    )
    losses = []
    for batch, rate in zip(sampler.batches(0, 30), rates, strict=True):
        by_hand.learning_rate = rate
        losses.append(by_hand.step(data.train_images[batch], data.train_labels[batch]))
    np.testing.assert_array_equal(result.losses, np.array(losses, np.float32))
    assert_same_state(result.trainer.state_dict(), by_hand.state_dict())


def test_options_are_a_train_config() -> None:
    with pytest.raises(TypeError, match="config is a dict, expected a TrainConfig"):
        train({"steps": 3})  # type: ignore[arg-type]


def test_every_event_is_reported_in_order(tmp_path: Path) -> None:
    data = small_dataset()
    path = tmp_path / "run"
    config = TrainConfig(**SMALL, steps=7, eval_every=3, checkpoint=path, checkpoint_every=2)
    events: list[Any] = []
    result = train(config, dataset=data, on_step=events.append, on_event=events.append)

    reported = [(type(event), event.step) for event in events]
    assert reported == [
        (StartEvent, 0),
        (StepEvent, 1),
        (StepEvent, 2),
        (CheckpointEvent, 2),
        (StepEvent, 3),
        (EvaluationEvent, 3),
        (StepEvent, 4),
        (CheckpointEvent, 4),
        (StepEvent, 5),
        (StepEvent, 6),
        (CheckpointEvent, 6),
        (EvaluationEvent, 6),
        (StepEvent, 7),
        (EvaluationEvent, 7),
        (CheckpointEvent, 7),
    ]
    steps = [event for event in events if isinstance(event, StepEvent)]
    assert [event.loss for event in steps] == result.losses.tolist()
    assert {event.learning_rate for event in steps} == {float(np.float32(0.01))}
    assert events[0][1:4] == (7, "cpu", result.trainer.threads)
    assert events[0].dataset is data
    assert result.evaluations == [event for event in events if isinstance(event, EvaluationEvent)]


@pytest.mark.parametrize("progress", [False, True])
def test_curves_are_no_option_of_the_run(tmp_path: Path, progress: bool) -> None:
    config = TrainConfig(**SMALL, steps=20, checkpoint=tmp_path / "run")
    result = train(config, dataset=small_dataset(), curves=True, progress=progress)
    assert [event.step for event in result.evaluations] == list(range(2, 21, 2))
    assert checkpoint.load(tmp_path / "run").options["eval_every"] is None


def test_the_last_step_is_saved_once(tmp_path: Path) -> None:
    saved: list[int] = []

    def watch(event: object) -> None:
        if isinstance(event, CheckpointEvent):
            saved.append(event.step)

    config = TrainConfig(**SMALL, steps=4, checkpoint=tmp_path / "run", checkpoint_every=2)
    train(config, dataset=small_dataset(), on_event=watch)
    assert saved == [2, 4]


def test_the_result_sums_the_run_up() -> None:
    data = small_dataset()
    result = train(TrainConfig(**SMALL, steps=5, seed=2), dataset=data)
    measured = result.trainer.evaluate(data.test_images, data.test_labels)
    assert (result.steps, result.device, result.dataset, result.seed) == (5, "cpu", "discs", 2)
    assert (result.test_accuracy, result.test_loss) == (measured.accuracy, measured.loss)
    assert result.loss == result.losses[-1]
    assert result.losses.dtype == np.float32
    assert (result.interrupted, result.target_reached) == (False, None)
    assert result.steps_per_second == pytest.approx(5 / result.train_seconds)


def test_training_time_is_that_of_sampling_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only sampling, steps, evaluations and events move, each by an amount of its own."""
    now = 0.0

    def taking(seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal now
            now += seconds
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(Sampler, "batches", taking(1, Sampler.batches))
    monkeypatch.setattr(Trainer, "run", taking(10, Trainer.run))
    monkeypatch.setattr(Trainer, "evaluate", taking(1000, Trainer.evaluate))
    watch = taking(1000, lambda _event: None)
    config = TrainConfig(**SMALL, steps=3, eval_every=1)
    result = train(config, dataset=small_dataset(), on_step=watch, on_event=watch)
    assert result.train_seconds == 3 * (1 + 10)
    assert result.steps_per_second == 3 / result.train_seconds
    assert [event.train_seconds for event in result.evaluations] == [11, 22, 33]


def test_training_learns() -> None:
    config = TrainConfig(**CYCLE | {"batch_size": 10}, epochs=12)
    result = train(config, dataset=small_dataset())
    assert result.steps == 60
    assert result.losses[-5:].mean() < result.losses[:5].mean() / 2
    assert result.test_accuracy is not None
    assert result.test_accuracy >= 0.5


def test_a_target_ends_the_run_when_it_is_reached() -> None:
    result = run(steps=50, eval_every=1, target_accuracy=0.05)  # one image of twenty
    assert result.target_reached is True
    assert result.steps < 50
    assert result.test_accuracy is not None
    assert result.test_accuracy >= 0.05
    assert [event.accuracy >= 0.05 for event in result.evaluations] == [False] * (result.steps - 1) + [True]


def test_an_accuracy_equal_to_the_target_reaches_it() -> None:
    accuracy = run(steps=5).test_accuracy
    assert accuracy is not None
    assert accuracy > 0
    result = run(steps=50, eval_every=5, target_accuracy=accuracy)
    assert (result.steps, result.test_accuracy, result.target_reached) == (5, accuracy, True)


def test_a_target_that_is_not_reached() -> None:
    result = run(steps=2, target_accuracy=1.0)
    assert (result.target_reached, result.steps) == (False, 2)


def test_stop_ends_the_run_and_saves_it(tmp_path: Path) -> None:
    path = tmp_path / "run"
    config = TrainConfig(**SMALL, steps=500, checkpoint=path)
    result = train(config, dataset=small_dataset(), stop=StopAfter(2))
    assert result.interrupted
    assert 1 < result.steps < 500
    assert len(result.losses) == result.steps
    assert (result.test_accuracy, result.test_loss, result.evaluations) == (None, None, [])
    saved = checkpoint.load(path)
    assert (saved.step, saved.total_steps) == (result.steps, 500)
    assert_same_state(saved.state, result.trainer.state_dict())


def many_tests(count: int) -> Dataset:
    """small_dataset() with `count` test images."""
    data = small_dataset()
    rows = np.arange(count) % len(data.test_images)
    return dataclasses.replace(data, test_images=data.test_images[rows], test_labels=data.test_labels[rows])


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_stop_ends_an_evaluation_and_saves_the_run(tmp_path: Path, calls: int) -> None:
    """The only step is asked about once, and each chunk of images once."""
    config = TrainConfig(**SMALL, steps=1, checkpoint=tmp_path / "run", overwrite=True)
    data = many_tests(3 * EVALUATION_CHUNK)
    result = train(config, dataset=data, stop=StopAfter(calls))
    assert (result.interrupted, result.steps, result.evaluations) == (True, 1, [])
    assert checkpoint.load(tmp_path / "run").step == 1
    assert not train(config, dataset=data, stop=StopAfter(4)).interrupted


def test_an_evaluation_in_chunks_is_the_trainers() -> None:
    data = many_tests(2 * EVALUATION_CHUNK + 7)
    result = train(TrainConfig(**SMALL, steps=3), dataset=data)
    measured = result.trainer.evaluate(data.test_images, data.test_labels)
    assert result.test_accuracy == measured.accuracy
    assert result.test_loss == pytest.approx(measured.loss, rel=1e-12)  # sums of doubles in another order


def test_stop_before_the_first_step(tmp_path: Path) -> None:
    config = TrainConfig(**SMALL, steps=5, checkpoint=tmp_path / "run")
    result = train(config, dataset=small_dataset(), stop=lambda: True)
    assert (result.steps, result.loss, result.steps_per_second) == (0, None, None)
    assert checkpoint.load(tmp_path / "run").step == 0


@pytest.mark.parametrize("rate", [1e6, 1e30])
def test_a_run_that_diverges_says_where_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, rate: float
) -> None:
    data, path = small_dataset(), tmp_path / "run"
    good = train(TrainConfig(**SMALL, steps=3, checkpoint=path), dataset=data)
    steps: list[StepEvent] = []
    config = TrainConfig(
        **SMALL, steps=200, learning_rate=rate, checkpoint=path, eval_every=10, overwrite=True
    )
    with pytest.raises(
        DivergedError, match=r"diverged at step \d+: its loss is (nan|inf) at learning rate 1e"
    ) as error:
        train(config, dataset=data, on_step=steps.append)
    assert f"step {len(steps) + 1}:" in str(error.value)
    assert all(np.isfinite(event.loss) for event in steps)
    assert_same_state(checkpoint.load(path).state, good.trainer.state_dict())


def test_weights_that_are_not_finite_are_not_saved_over_good_ones(tmp_path: Path) -> None:
    """The step that breaks the weights still has a finite loss of its own."""
    data, path = small_dataset(), tmp_path / "run"
    train(TrainConfig(**SMALL, steps=3, checkpoint=path), dataset=data)
    before = path.read_bytes()
    config = TrainConfig(
        **SMALL, steps=200, learning_rate=3e38, checkpoint=path, checkpoint_every=1, overwrite=True
    )
    with pytest.raises(
        DivergedError,
        match=r"step 1: its loss is \d.* at learning rate 3e\+38; the weights after it are not finite",
    ):
        train(config, dataset=data)
    assert path.read_bytes() == before


def test_bad_places_are_named_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        run(checkpoint=tmp_path / "absent" / "run")
    with pytest.raises(CheckpointError, match="absent' does not exist"):
        run(resume=tmp_path / "absent")
    with pytest.raises(DatasetError, match="absent"):
        train(TrainConfig(**SMALL, data_dir=tmp_path / "absent"))


def test_the_data_that_the_options_name_are_loaded(tmp_path: Path) -> None:
    result = train(TrainConfig(**SMALL, steps=2, data_dir=write_mnist(tmp_path)))
    same = run(steps=2)
    assert result.dataset == "custom"
    np.testing.assert_array_equal(result.losses, same.losses)


def test_a_checkpoint_knows_its_training_images_if_there_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mpsmnist.training import familiarity

    learned = []
    original = familiarity.learn

    def learn(images: Any, labels: Any) -> Any:
        learned.append(len(images))
        return original(images, labels)

    monkeypatch.setattr(familiarity, "learn", learn)
    labels = (np.arange(2100) % 10).astype(np.uint8)
    data = dataclasses.replace(small_dataset(), train_images=synthetic.draw(labels), train_labels=labels)
    path = tmp_path / "run"
    train(TrainConfig(**SMALL, steps=4, checkpoint=path, checkpoint_every=2, validation=50), dataset=data)
    assert learned == [2050]  # once, and not from the images held out
    saved = checkpoint.load(path).familiarity
    assert saved is not None
    assert (familiarity.Familiarity(**saved).distances(data.train_images[:200]) < 1).mean() > 0.9

    train(TrainConfig(**SMALL, steps=2, checkpoint=tmp_path / "few"), dataset=small_dataset())
    assert checkpoint.load(tmp_path / "few").familiarity is None
