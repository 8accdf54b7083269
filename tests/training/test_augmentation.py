"""Runs on images that are distorted at random: which images, and the same ones however the run is cut up."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpsmnist import DatasetError, Trainer, augment
from mpsmnist.data import Dataset
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


def test_each_device_trains_on_the_same_images(device: str) -> None:
    """Within what devices may differ by, which is far less than by one image more or less distorted."""
    options = DISTORTED | {"device": device, "batch_size": 4, "steps": 12}
    expected, found = (
        train(TrainConfig(**options | {"device": name}), dataset=small_dataset()) for name in ("cpu", device)
    )
    np.testing.assert_allclose(found.losses, expected.losses, rtol=2e-4)


def faint_dataset() -> Dataset:
    data = small_dataset()
    return dataclasses.replace(data, train_images=np.minimum(data.train_images, 3))


def test_what_distortion_leaves_of_faint_images_stops_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone in a batch, an image of levels 0 and 1 would be refused as one of the wrong scale."""
    options = DISTORTED | {"batch_size": 1, "learning_rate": 1e-4, "seed": 10}  # in step 13 there is one
    straight = train(TrainConfig(**options), dataset=faint_dataset())
    monkeypatch.setattr(loop, "MAX_CHUNK", 1)
    single = train(TrainConfig(**options), dataset=faint_dataset())
    np.testing.assert_array_equal(single.losses, straight.losses)


@pytest.mark.parametrize("augmentation", ["none", "distort"])
@pytest.mark.parametrize("which", ["train", "test"])
def test_a_dataset_of_0_and_1_is_refused_before_any_step(augmentation: str, which: str) -> None:
    data = small_dataset()
    images = (getattr(data, f"{which}_images") > 127).astype(np.uint8)
    with pytest.raises(DatasetError, match=r"no pixel of the (training|test) images is above 1, expected"):
        train(
            TrainConfig(**SMALL, augmentation=augmentation, steps=3),
            dataset=dataclasses.replace(data, **{f"{which}_images": images}),
            on_event=lambda event: pytest.fail(f"it began: {event}"),
        )


def test_images_that_are_nearly_black_end_no_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    data, before = small_dataset(), small_dataset()
    for images in (data.train_images, data.test_images):
        images[-1] = images[-1] > 127
    monkeypatch.setattr(loop, "EVALUATION_CHUNK", 1)
    result = train(TrainConfig(**SMALL, epochs=0.1), dataset=data)
    assert result.test_accuracy is not None
    np.testing.assert_array_equal(data.train_images[:-1], before.train_images[:-1])
    assert data.train_images[-1].max() == 1  # the caller's images stay as they are


@pytest.mark.parametrize(("batch_size", "most"), [(2, 10), (64, 4), (150, 2), (301, 1)])
def test_no_more_images_are_drawn_at_once_than_needed(
    monkeypatch: pytest.MonkeyPatch, batch_size: int, most: int
) -> None:
    counts = []

    def note(images: Any, **options: Any) -> Any:
        counts.append(len(images) // batch_size)
        return images

    monkeypatch.setattr(loop, "augment", note)
    monkeypatch.setattr(loop, "MAX_DRAWN", 300)
    monkeypatch.setattr(loop, "MAX_CHUNK", 10)
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 1e6)
    run(augmentation="distort", batch_size=batch_size, steps=13)
    assert (max(counts), sum(counts)) == (most, 13)


def test_evaluations_are_of_the_images_as_they_are() -> None:
    result = train(TrainConfig(**SMALL, epochs=0.1, augmentation="distort"), dataset=small_dataset())
    data, last = small_dataset(), result.evaluations[-1]
    assert last.accuracy == result.trainer.evaluate(data.test_images, data.test_labels).accuracy
    assert last.train_accuracy == result.trainer.evaluate(data.train_images, data.train_labels).accuracy
