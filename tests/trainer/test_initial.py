"""Initial values: the same floats for a seed on every device, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import mpsmnist
from support import checks, reference


@pytest.mark.parametrize("init", ["uniform", "he"])
@pytest.mark.parametrize(
    ("seed", "num_classes"), [(0, 10), (1, 10), (2**64 - 1, 10), (2**63, 2), (11, 26), (12, 47)]
)
def test_initial_values_are_exact(make_trainer, init, seed, num_classes):
    state = make_trainer(seed=seed, init=init, num_classes=num_classes).state_dict()
    expected = reference.initial_parameters(num_classes, seed, init)
    assert list(state) == list(expected)
    for name, value in expected.items():
        checks.assert_same_bits(state[name], value)


def test_defaults_are_the_originals(device):
    trainer = mpsmnist.Trainer(device=device)
    assert (trainer.seed, trainer.num_classes, trainer.momentum, trainer.steps) == (0, 10, 0.0, 0)
    assert trainer.learning_rate == pytest.approx(0.01, rel=1e-7)
    checks.assert_same_bits(checks.flat_state(trainer), reference.flatten(reference.initial_parameters()))


def test_state_is_in_the_documented_order_and_shapes(make_trainer):
    state = make_trainer(num_classes=26, momentum=0.5).state_dict()
    shapes = reference.parameter_shapes(26)
    momentum = {f"momentum.{name}": shape for name, shape in shapes.items()}
    assert [(name, value.shape) for name, value in state.items()] == [*shapes.items(), *momentum.items()]
    for value in state.values():
        assert value.dtype == np.float32
        assert value.flags.c_contiguous
    assert not np.concatenate([state[name].ravel() for name in momentum]).any()
