"""What every contestant trains on, and what the oracle says about it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from environment import ROOT
from mpsmnist.data import Dataset, load

sys.path.append(str(ROOT / "tests"))
import reference  # the oracle belongs to the tests

LEARNING_RATE = 0.02
INIT: Literal["uniform", "he"] = "he"
SEED = 0
BATCHES = 256  # every contestant goes through the same ones in the same order, again and again
CHECKED_STEPS = 5

# A float32 gradient errs by about 1e-6 of its norm, and the loss moves by less than itself in a step, so ten
# times that is ample for five steps. Every correct contestant seen so far was below 1e-6.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Workload:
    """Files for the contestants of one batch size, and the losses they must find."""

    batch_size: int
    folder: Path
    losses: list[float]


def read_dataset(name: str, data_dir: Path | None) -> Dataset:
    return load(name, data_dir=data_dir)


def make(dataset: Dataset, batch_size: int, folder: Path) -> Workload:
    """Draw the batches, let the oracle train on the first, write what contestants read to `folder`."""
    folder.mkdir()
    weights = reference.initial_parameters(num_classes=10, seed=SEED, init=INIT)
    generator = np.random.default_rng(SEED)
    batches = generator.integers(0, len(dataset.train_images), (BATCHES, batch_size))
    np.save(folder / "images.npy", dataset.train_images)
    np.save(folder / "labels.npy", dataset.train_labels)
    np.save(folder / "batches.npy", batches)
    np.savez(folder / "weights.npz", allow_pickle=False, **weights)
    oracle = reference.Sgd(weights, LEARNING_RATE)
    losses = [
        oracle.step(dataset.train_images[rows], dataset.train_labels[rows])
        for rows in batches[:CHECKED_STEPS]
    ]
    return Workload(batch_size, folder, losses)


def worst_error(losses: list[float], expected: list[float]) -> float:
    """The largest relative difference; infinite where a loss is not a number."""
    difference: NDArray[Any] = np.abs(np.array(losses) - expected) / np.abs(expected)
    worst = float(np.max(difference))
    return worst if np.isfinite(worst) else float("inf")
