"""Runs on images that are distorted at random: which images, and the same ones however the run is cut up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpsmnist import Trainer, augment
from mpsmnist.train import ConfigError, TrainConfig, resumed_config, train
from mpsmnist.training import loop
from mpsmnist.training.sampling import Sampler, augmentation_seed
from support.checks import assert_same_state
from support.datasets import small_dataset
from support.training import CYCLE, SMALL, run

DISTORTED: dict[str, Any] = CYCLE | {"augmentation": "distort", "steps": 30, "seed": 3}


def test_each_step_is_one_on_images_that_are_distorted_anew() -> None:
    """By the user's own loop: augment() with the place in the stream of images, then step()."""
    data, steps, batch_size, seed = small_dataset(), 30, 4, 2**64 - 2
    options = {"batch_size": batch_size, "augmentation": "distort", "steps": steps, "seed": seed}
    result = run(**options)

    trainer = Trainer(device="cpu", seed=seed)
    batches = Sampler("replacement", size=50, batch_size=batch_size, seed=seed).batches(0, steps)
    losses = []
    for step, rows in enumerate(batches):
        images = augment(data.train_images[rows], seed=augmentation_seed(seed), first=step * batch_size)
        losses.append(trainer.step(images, data.train_labels[rows]))
    np.testing.assert_array_equal(result.losses, np.float32(losses))
    assert_same_state(result.trainer.state_dict(), trainer.state_dict())
    assert result.losses[0] != run(**options | {"augmentation": "none"}).losses[0]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("most", [1, 7, 100])
def test_chunks_and_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch, threads: int, most: int) -> None:
    straight = train(TrainConfig(**DISTORTED), dataset=small_dataset())
    monkeypatch.setattr(loop, "MAX_CHUNK", most)
    other = train(TrainConfig(**DISTORTED, threads=threads), dataset=small_dataset())
    np.testing.assert_array_equal(other.losses, straight.losses)
    assert_same_state(other.trainer.state_dict(), straight.trainer.state_dict())


def test_the_threads_are_those_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def note(images: Any, **options: Any) -> Any:
        asked.append(options["threads"])
        return augment(images, **options)

    monkeypatch.setattr(loop, "augment", note)
    run(augmentation="distort", steps=1, threads=3)
    run(augmentation="distort", steps=1)
    assert asked == [3, None]


@pytest.mark.parametrize("at", [1, 13])
def test_a_resumed_run_has_the_same_bits(tmp_path: Path, at: int) -> None:
    data, path = small_dataset(), tmp_path / "run"
    straight = train(TrainConfig(**DISTORTED), dataset=data)
    seen: list[int] = []
    first = train(
        TrainConfig(**DISTORTED, checkpoint=path, checkpoint_every=at),
        dataset=data,
        on_step=lambda event: seen.append(event.step),
        stop=lambda: len(seen) >= at,
    )
    assert first.steps == at
    second = train(resumed_config(path, checkpoint_every=None), dataset=data)
    np.testing.assert_array_equal(np.concatenate([first.losses, second.losses]), straight.losses)
    assert_same_state(second.trainer.state_dict(), straight.trainer.state_dict())


def test_a_resumed_run_keeps_its_augmentation(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(TrainConfig(**DISTORTED | {"steps": 4}, checkpoint=path), dataset=small_dataset())
    assert resumed_config(path).augmentation == "distort"
    with pytest.raises(ConfigError, match=r"augmentation is 'none', but the run in .* has 'distort'"):
        resumed_config(path, augmentation="none")


def test_evaluations_are_of_the_images_as_they_are() -> None:
    result = train(TrainConfig(**SMALL, epochs=0.1, augmentation="distort"), dataset=small_dataset())
    data, last = small_dataset(), result.evaluations[-1]
    assert last.accuracy == result.trainer.evaluate(data.test_images, data.test_labels).accuracy
    assert last.train_accuracy == result.trainer.evaluate(data.train_images, data.train_labels).accuracy
