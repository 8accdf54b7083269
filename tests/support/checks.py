"""How several test modules compare trainers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mpsmnist

# Of probabilities: the CPU engine is held to 1e-5 of the float64 model, and others in float32 err no more.
ROUNDING = 2e-5


def flat_state(trainer: mpsmnist.Trainer) -> NDArray[np.float32]:
    """Weights, then momentum if there is any, in one vector."""
    return np.concatenate([value.ravel() for value in trainer.state_dict().values()])


def assert_same_bits(actual: NDArray[Any], expected: NDArray[Any]) -> None:
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    differing = int(np.count_nonzero(actual.view(np.uint32) != expected.view(np.uint32)))
    assert differing == 0, f"{differing} of {actual.size} values differ"


def assert_same_state(actual: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    """The same names, and for each the same bits."""
    assert actual.keys() == expected.keys()
    for name, tensor in actual.items():
        assert tensor.shape == expected[name].shape, name
        assert tensor.dtype == expected[name].dtype, name
        assert tensor.tobytes() == expected[name].tobytes(), name


def relative_error(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    """The L2 norm of the difference, relative to that of the expected values."""
    difference = float(np.linalg.norm((actual.astype(np.float64) - expected).ravel()))
    norm = float(np.linalg.norm(expected.ravel()))
    if norm == 0:
        return 0.0 if difference == 0 else math.inf
    return difference / norm
