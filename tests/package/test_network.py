"""The network's parameters by name, and their layouts elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from mpsmnist import Trainer
from mpsmnist.network import (
    MOMENTUM_PREFIX,
    channels_first_shapes,
    from_channels_first,
    parameter_shapes,
    state_shapes,
    to_channels_first,
)

State = dict[str, np.ndarray]

CHANNELS_FIRST = {
    "conv0.weight": (32, 1, 5, 5),
    "conv0.bias": (32,),
    "conv1.weight": (64, 32, 5, 5),
    "conv1.bias": (64,),
    "fc0.weight": (1024, 3136),
    "fc0.bias": (1024,),
    "fc1.weight": (3, 1024),
    "fc1.bias": (3,),
}


@pytest.fixture(scope="module")
def state() -> State:
    """Weights and momentum, each value unlike its neighbours."""
    generator = np.random.default_rng(0)
    shapes = state_shapes(3, momentum=True)
    return {name: generator.random(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_state_shapes_are_the_trainers(momentum: float) -> None:
    state = Trainer(device="cpu", num_classes=3, momentum=momentum).state_dict()
    expected = state_shapes(3, momentum=momentum > 0)
    assert [(name, value.shape) for name, value in state.items()] == list(expected.items())


def test_shapes_in_channels_first_layout(state: State) -> None:
    assert list(channels_first_shapes(3).items()) == list(CHANNELS_FIRST.items())
    converted = to_channels_first(state)
    momentum = {MOMENTUM_PREFIX + name: shape for name, shape in CHANNELS_FIRST.items()}
    assert {name: value.shape for name, value in converted.items()} == CHANNELS_FIRST | momentum
    for name, value in converted.items():
        assert value.dtype == np.float32
        assert value.flags.c_contiguous
        assert not np.shares_memory(value, state[name])


def test_there_and_back_is_the_same(state: State) -> None:
    back = from_channels_first(to_channels_first(state))
    assert list(back) == list(state)
    for name, value in back.items():
        np.testing.assert_array_equal(value, state[name])
        assert value.flags.c_contiguous
        assert not np.shares_memory(value, state[name])


def test_some_of_the_names_will_do(state: State) -> None:
    assert list(to_channels_first({"fc1.bias": state["fc1.bias"]})) == ["fc1.bias"]


def test_a_kernel_keeps_its_taps(state: State) -> None:
    here, there = state["conv1.weight"], to_channels_first(state)["conv1.weight"]
    for row, column, channel, out in ((0, 0, 0, 0), (1, 4, 7, 60), (4, 2, 31, 5)):
        assert there[out, channel, row, column] == here[row, column, channel, out]


@pytest.mark.parametrize("prefix", ["", MOMENTUM_PREFIX])
def test_dense_layers_give_the_same_outputs(state: State, prefix: str) -> None:
    """Features of both layouts, flattened, through the weights of both; in float64 each sum errs by 1e-12."""
    converted = to_channels_first(state)
    features = np.random.default_rng(1).random((2, 7, 7, 64))
    here = features.reshape(2, -1) @ state[prefix + "fc0.weight"]
    there = features.transpose(0, 3, 1, 2).reshape(2, -1) @ converted[prefix + "fc0.weight"].T
    # 3,136 products below 1: the sum errs by at most 3136 * 3136 * 2**-53 in either order.
    np.testing.assert_allclose(there, here, rtol=0, atol=2 * 3136**2 * 2.0**-53)
    outputs = here @ state[prefix + "fc1.weight"]
    np.testing.assert_array_equal(here @ converted[prefix + "fc1.weight"].T.copy(), outputs)


def test_the_parameters_are_the_cores() -> None:
    assert list(parameter_shapes()) == list(CHANNELS_FIRST)
    assert sum(int(np.prod(shape)) for shape in parameter_shapes().values()) == 3_274_634
