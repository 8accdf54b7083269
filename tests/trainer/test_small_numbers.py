"""Numbers too small to be normal are zeros on the CPU: Intel's processors compute them many times slower."""

from __future__ import annotations

import numpy as np
import pytest

from support import examples

SMALLEST_NORMAL = np.finfo(np.float32).smallest_normal


@pytest.fixture
def trainer(device, make_trainer):
    if device != "cpu":
        pytest.skip("GPUs have rules of their own, and no slow path for such numbers")
    return make_trainer(momentum=0.9, learning_rate=0.01)


def test_momentum_decays_to_zero(trainer):
    """Behind blank pixels it loses a tenth with each step: after a thousand it is no longer normal."""
    state = trainer.state_dict()
    for name in [name for name in state if name.startswith("momentum.")]:
        state[name] = np.full_like(state[name], 1e-37)
    trainer.load_state_dict(state)
    images, labels = np.zeros((16, 28, 28), np.float32), np.arange(16) % 10
    trainer.run(images, labels, np.tile(np.arange(16), (30, 1)))  # 0.9**30 = 0.04
    momentum = np.abs(
        np.concatenate([value.ravel() for name, value in trainer.state_dict().items() if "momentum" in name])
    )
    assert not ((momentum > 0) & (momentum < SMALLEST_NORMAL)).any()
    assert (momentum == 0).mean() > 0.2  # conv0's weights see nothing but blank pixels, and so on


def test_images_of_such_numbers_are_blank(trainer):
    images = np.full((2, 28, 28), 1e-39, np.float32)
    blank = np.zeros_like(images)
    assert np.array_equal(trainer.predict(images), trainer.predict(blank))
    labels = np.array([1, 2])
    assert np.array_equal(trainer.gradients(images, labels).flat, trainer.gradients(blank, labels).flat)


def test_probabilities_of_that_size_are_zero(make_trainer):
    """On every device, since the core computes them from its logits."""
    trainer = make_trainer()
    state = {name: np.zeros_like(value) for name, value in trainer.state_dict().items()}
    state["fc1.bias"][1] = -90  # exp(-90) is 8e-40, and 9 other classes share the rest
    trainer.load_state_dict(state)
    images, _ = examples.discs(1)
    assert trainer.predict(images)[0, 1] == 0
