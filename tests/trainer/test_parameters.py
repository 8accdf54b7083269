"""The names and shapes of the parameters, as the core has them."""

from __future__ import annotations

import pytest

import mpsmnist
from mpsmnist import _core
from support import reference


@pytest.mark.parametrize("num_classes", [2, 10, 26])
def test_names_and_shapes_are_those_of_the_network(num_classes):
    shapes = _core.parameter_shapes(num_classes)
    assert shapes == reference.parameter_shapes(num_classes)
    state = mpsmnist.Trainer(device="cpu", num_classes=num_classes).state_dict()
    assert list(shapes.items()) == [(name, value.shape) for name, value in state.items()]


def test_ten_classes_are_the_default():
    assert _core.parameter_shapes() == _core.parameter_shapes(num_classes=10)


@pytest.mark.parametrize("num_classes", [-1, 0, 1, 100_001, 2**40])
def test_bad_numbers_of_classes_are_refused_as_by_the_trainer(num_classes):
    message = rf"^num_classes: {num_classes}; expected 2 to 100000$"
    with pytest.raises(ValueError, match=message):
        _core.parameter_shapes(num_classes)
    with pytest.raises(ValueError, match=message):
        mpsmnist.Trainer(device="cpu", num_classes=num_classes)


def test_momentum_is_named_after_its_parameter():
    state = mpsmnist.Trainer(device="cpu", momentum=0.5).state_dict()
    names = list(_core.parameter_shapes())
    assert list(state) == names + [_core.MOMENTUM_PREFIX + name for name in names]


def test_known_devices():
    """Those of this machine, in the same order, and others; the error for an unknown name lists them all."""
    assert [name for name in _core.DEVICES if name in mpsmnist.devices()] == mpsmnist.devices()
    quoted = [f'"{name}"' for name in ("auto", *_core.DEVICES)]
    expected = f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    with pytest.raises(ValueError, match=f'^device: "cuda" is not known; expected {expected}$'):
        mpsmnist.Trainer(device="cuda")
