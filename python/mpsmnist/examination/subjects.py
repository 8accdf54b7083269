"""The trainers and batches that checks use, and how far two results are apart."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import Trainer

FloatArray = NDArray[np.float32]
State = Mapping[str, FloatArray]
Batch = tuple[FloatArray, NDArray[np.int64]]


def make_trainer(device: str, **options: Any) -> Trainer:
    """Make a trainer whose weights are the same on every device."""
    return Trainer(**{"device": device, "init": "he"} | options)


def pair(device: str, **options: Any) -> tuple[Trainer, Trainer]:
    """Make the CPU's trainer and the device's, with the same weights."""
    reference, trainer = (make_trainer(d, learning_rate=0.05, **options) for d in ("cpu", device))
    trainer.load_state_dict(reference.state_dict())
    return reference, trainer


def make_batch(step: int, size: int, classes: int = 10) -> tuple[FloatArray, NDArray[np.int64]]:
    """Make images of noise: unlike digits on a blank background, they have no pooling ties."""
    generator = np.random.default_rng(step)
    return generator.random((size, 28, 28), np.float32), generator.integers(0, classes, size)


def relative_error(expected: FloatArray, found: FloatArray) -> float:
    """Return |found - expected| / |expected|, in Euclidean norms."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def changes(before: State, expected: State, found: State) -> dict[str, float]:
    """Return the relative error of each tensor's change."""
    return {k: relative_error(expected[k] - before[k], found[k] - before[k]) for k in expected}


def same_bits(expected: State, found: State) -> bool:
    """Return whether two states are equal, bit by bit."""
    return all(expected[name].tobytes() == found[name].tobytes() for name in expected)
