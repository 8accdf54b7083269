"""New runs that begin with the weights of another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mpsmnist import CheckpointError, Trainer, checkpoint
from mpsmnist.network import MOMENTUM_PREFIX, parameter_shapes
from mpsmnist.train import ConfigError, Event, StartEvent, TrainConfig, train
from mpsmnist.training.sampling import Sampler
from support.checks import assert_same_bits, assert_same_state
from support.datasets import small_dataset
from support.training import CYCLE, SMALL


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """The checkpoint of a finished one-cycle run, with momentum."""
    path = tmp_path / "pretrained"
    train(TrainConfig(**CYCLE, steps=4, checkpoint=path), dataset=small_dataset())
    return path


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_run_begins_with_the_weights_and_nothing_else(pretrained: Path, momentum: float) -> None:
    """Its own recipe and momentum; what the other run's momentum was does not matter."""
    data = small_dataset(seed=1)
    options = SMALL | {"momentum": momentum, "learning_rate": 0.02}
    begun: list[StartEvent] = []

    def note(event: Event) -> None:
        if isinstance(event, StartEvent):
            begun.append(event)
            state = event.trainer.state_dict()
            for name, tensor in checkpoint.load(pretrained).state.items():
                if not name.startswith(MOMENTUM_PREFIX):
                    assert_same_bits(state[name], tensor)
                elif momentum:
                    assert not state[name].any()

    result = train(TrainConfig(**options, steps=5, init_from=pretrained), dataset=data, on_event=note)
    assert [(event.step, event.total_steps) for event in begun] == [(0, 5)]
    assert result.steps == 5

    trainer = Trainer(device="cpu", momentum=momentum, learning_rate=0.02)
    weights = {name: checkpoint.load(pretrained).state[name] for name in parameter_shapes()}
    trainer.load_state_dict(trainer.state_dict() | weights)
    batches = Sampler("replacement", size=len(data.train_images), batch_size=2, seed=0).batches(0, 5)
    losses = trainer.run(data.train_images, data.train_labels, batches)
    np.testing.assert_array_equal(result.losses, losses)
    assert_same_state(result.trainer.state_dict(), trainer.state_dict())


def test_the_run_is_resumed_like_any_other(pretrained: Path, tmp_path: Path) -> None:
    data, path = small_dataset(), tmp_path / "run"
    straight = train(TrainConfig(**CYCLE, steps=6, init_from=pretrained), dataset=data)
    config = TrainConfig(**CYCLE, steps=6, init_from=pretrained, checkpoint=path, checkpoint_every=3)
    train(config, dataset=data, stop=path.exists)
    assert checkpoint.load(path).step == 3
    resumed = train(TrainConfig(**CYCLE, steps=6, resume=path, checkpoint=path), dataset=data)
    assert_same_state(resumed.trainer.state_dict(), straight.trainer.state_dict())


def test_a_network_for_other_classes_is_refused(pretrained: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"init_from is .*pretrained', whose network has 10 classes, but 'discs' has 3"
    ):
        train(TrainConfig(**SMALL, steps=1, init_from=pretrained), dataset=small_dataset(num_classes=3))


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="absent' does not exist"):
        train(TrainConfig(**SMALL, init_from=tmp_path / "absent"), dataset=small_dataset())


def test_a_run_is_either_resumed_or_begun(pretrained: Path) -> None:
    with pytest.raises(ConfigError, match=r"init_from is .*, but `resume` is .*: give one of them"):
        TrainConfig(resume=pretrained, init_from=pretrained)


def test_the_weights_that_a_run_begins_with_are_not_overwritten(pretrained: Path) -> None:
    before = pretrained.read_bytes()
    with pytest.raises(ConfigError, match=r"checkpoint is .*pretrained', which exists"):
        train(
            TrainConfig(**SMALL, steps=1, init_from=pretrained, checkpoint=pretrained),
            dataset=small_dataset(),
        )
    assert pretrained.read_bytes() == before
