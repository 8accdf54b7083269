"""What several test modules measure trainers with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mpsmnist


def flat_state(trainer: mpsmnist.Trainer) -> NDArray[np.float32]:
    """Weights, then momentum where there is any, in one vector."""
    return np.concatenate([value.ravel() for value in trainer.state_dict().values()])


def assert_same_bits(actual: NDArray[Any], expected: NDArray[Any]) -> None:
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    differing = int(np.count_nonzero(actual.view(np.uint32) != expected.view(np.uint32)))
    assert differing == 0, f"{differing} of {actual.size} values differ"


def relative_error(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    """L2 norm of the difference over that of what was expected."""
    difference = float(np.linalg.norm((actual.astype(np.float64) - expected).ravel()))
    norm = float(np.linalg.norm(expected.ravel()))
    if norm == 0:
        return 0.0 if difference == 0 else math.inf
    return difference / norm
