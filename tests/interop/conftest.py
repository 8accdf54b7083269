"""Networks and images that other frameworks are asked about."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mpsmnist
from mpsmnist.data import load
from support import examples
from support.checks import ROUNDING

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@pytest.fixture(scope="session")
def trained() -> mpsmnist.Trainer:
    """A network of three classes, whose weights have left their initial symmetry."""
    trainer = mpsmnist.Trainer(
        device="cpu", num_classes=3, init="he", momentum=0.9, seed=examples.TRAINER_SEED
    )
    for seed in range(5):
        trainer.step(*examples.discs(16, seed, num_classes=3))
    return trainer


@pytest.fixture(scope="session")
def pictures() -> NDArray[np.float32]:
    """Images (n, 1, 28, 28): noise, which reaches every border, and discs."""
    noise = np.random.default_rng(0).random((20, 1, 28, 28), np.float32)
    discs, _ = examples.discs(20, num_classes=3)
    return np.concatenate([noise, discs[:, None].astype(np.float32) / np.float32(255)])


@pytest.fixture(scope="session")
def digits() -> tuple[mpsmnist.Trainer, Any]:
    """A network that has learned MNIST for a second, and its test set."""
    if not os.environ.get("MPSMNIST_DATA_DIR"):
        pytest.skip("real digits are predicted with MNIST: MPSMNIST_DATA_DIR does not name its folder")
    data = load("mnist")
    trainer = mpsmnist.Trainer(device="cpu", init="he", learning_rate=0.05, momentum=0.9)
    rows = np.random.default_rng(0).integers(0, 60_000, (100, 32))
    trainer.run(data.train_images, data.train_labels, rows)
    return trainer, data


@pytest.fixture(scope="session")
def check_digits(digits: tuple[mpsmnist.Trainer, Any]) -> Callable[[Predict], None]:
    """Check that predict(float32 images) reads a thousand test images as the Trainer does."""

    def check(predict: Predict) -> None:
        trainer, data = digits
        images = data.test_images[:1000]
        expected = trainer.predict(images)
        assert (expected.argmax(axis=1) == data.test_labels[:1000]).mean() > 0.8
        actual = predict(images[:, None].astype(np.float32) / np.float32(255))
        assert np.abs(actual - expected).max() < ROUNDING
        second, first = np.sort(expected, axis=1)[:, -2:].T
        clear = first - second > 2 * ROUNDING
        assert clear.sum() > 990
        np.testing.assert_array_equal(actual.argmax(axis=1)[clear], expected.argmax(axis=1)[clear])

    return check
