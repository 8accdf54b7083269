"""Sizes that device mps would compute wrongly, or abort on, are refused by name before anything changes."""

from __future__ import annotations

import numpy as np
import pytest

import mpsmnist
from mpsmnist.train import ConfigError, TrainConfig, train
from support import checks, examples
from support.datasets import small_dataset

MAX_BATCH, MAX_CLASSES = 16_384, 32_766  # of mps: device.cpp says why


@pytest.fixture
def limited(device):
    if device == "cpu":
        pytest.skip("the CPU engine takes any size")
    return device


def images_and_labels(n):
    return np.zeros((n, 784), np.uint8), np.zeros(n, np.uint8)


def run_one(trainer, images, labels):
    trainer.run(images[:1], labels[:1], np.zeros((1, len(images)), np.int64))


CALLS = {
    "step": mpsmnist.Trainer.step,
    "step_async": mpsmnist.Trainer.step_async,
    "gradients": mpsmnist.Trainer.gradients,
    "run": run_one,
}


@pytest.mark.parametrize("call", CALLS)
def test_a_batch_that_is_too_large_is_refused(make_trainer, limited, call):
    trainer = make_trainer(init="he")
    trainer.step(*examples.discs(2))
    before = checks.flat_state(trainer)
    argument = "batches" if call == "run" else "images"
    message = rf'^{argument}: a batch of 16385 images; device "{limited}" takes at most 16384$'
    with pytest.raises(ValueError, match=message):
        CALLS[call](trainer, *images_and_labels(MAX_BATCH + 1))
    assert trainer.steps == 1
    checks.assert_same_bits(checks.flat_state(trainer), before)


@pytest.mark.parametrize("num_classes", [MAX_CLASSES + 1, 100_000])
def test_too_many_classes_are_refused(limited, num_classes):
    message = rf'^num_classes: {num_classes}; device "{limited}" takes at most 32766$'
    with pytest.raises(ValueError, match=message):
        mpsmnist.Trainer(device=limited, num_classes=num_classes)


@pytest.mark.parametrize(("n", "num_classes", "most"), [(16_384, 15_888, 16_383), (7_681, 32_766, 7_680)])
def test_a_product_that_is_too_large_is_refused(limited, n, num_classes, most):
    """(1024 + 2 n) C floats are 2^31 bytes or more: the gradient of fc1's weights."""
    trainer = mpsmnist.Trainer(device=limited, num_classes=num_classes)
    message = rf'device "{limited}" takes at most {most} with {num_classes} classes$'
    with pytest.raises(ValueError, match=message):
        trainer.gradients(*images_and_labels(n))
    assert trainer.steps == 0


def test_training_names_the_option(limited):
    config = TrainConfig(device=limited, batch_size=MAX_BATCH + 1, steps=1)
    message = (
        rf'^batch_size is 16385: batches: a batch of 16385 images; device "{limited}" takes at most 16384$'
    )
    with pytest.raises(ConfigError, match=message):
        train(config, dataset=small_dataset())


def test_the_cpu_takes_more_classes():
    trainer = mpsmnist.Trainer(device="cpu", num_classes=MAX_CLASSES + 1)
    assert np.isfinite(trainer.step(*examples.discs(2)))
