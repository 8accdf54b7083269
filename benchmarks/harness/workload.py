"""What every contestant is given, and what the oracle says about it."""

from __future__ import annotations

import functools
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpsmnist import Trainer
from mpsmnist.data import Dataset, load

from .environment import ROOT

sys.path.append(str(ROOT / "tests"))
from support import reference  # the oracle belongs to the tests

Array = NDArray[Any]
Weights = dict[str, NDArray[Any]]

LEARNING_RATE = 0.02
INIT: Literal["uniform", "he"] = "he"
SEED = 0
BATCHES = 256  # every contestant goes through the same ones in the same order, again and again
CHECKED_STEPS = 5
# Predictions come from a trained network, whose ReLUs let less through than at the start.
TRAINED_STEPS = 300
TRAINED_BATCH = 16
ORACLE_CHUNK = 100  # images at a time: float64 patches are large

# A float32 gradient errs by about 1e-6 of its norm, and the loss moves by less than itself in a step, so ten
# times that is ample for five steps, as long as ReLU and pooling decide as the oracle does. With this seed
# all stay below 1e-6, except tinygrad at 256 images (3e-6); with one seed in eight a decision is too close
# for float32, whoever computes it: see RESULTS.md.
# A float32 logit errs by at most 4e-6 of the logits' rms, about 4 here, and a probability by at most half of
# that: 8e-6.
TOLERANCE = 1e-5
# Errors of single images cancel in the mean loss of many: correct contestants were below 1e-7 with 600. It is
# so strict because training makes the loss insensitive: a forgotten fc1.bias moves it by 6e-6.
# Accuracies agree exactly: among the first 2,000 test images the closest decision is by 3e-3 in the logits.
CANCELLING_IMAGES = 100


@dataclass(frozen=True)
class Workload:
    """Files for the contestants of one operation and batch size, and the answers that they must give.

    answers: to "step" the losses of the first steps; to "predict" the probabilities for the first batches; to
    "evaluate" the mean loss and the accuracy.
    """

    operation: str
    batch_size: int
    folder: Path
    answers: list[float]
    momentum: float = 0.0

    def worst_error(self, answers: list[float]) -> float:
        """The largest error: relative for the losses of steps, else absolute."""
        return worst_error(answers, self.answers, relative=self.operation == "step")

    @property
    def tolerance(self) -> float:
        """How large that error may be."""
        if self.operation == "evaluate":
            return TOLERANCE / math.sqrt(min(self.batch_size, CANCELLING_IMAGES))
        return TOLERANCE


def read_dataset(name: str, data_dir: Path | None) -> Dataset:
    return load(name, data_dir=data_dir)


def make(
    dataset: Dataset,
    operation: str,
    batch_size: int,
    folder: Path,
    *,
    momentum: float = 0.0,
    batch_count: int = BATCHES,
) -> Workload:
    """Draw the batches, ask the oracle about the first, write what contestants read to `folder`.

    Steps start from the initial weights and see training images. Predictions and evaluations have trained
    weights and test images: random ones for predictions; for evaluations the first of the set, and where that
    has fewer than `batch_size`, the first again.
    """
    training = operation == "step"
    weights = _initial_weights() if training else _trained_weights(dataset)
    images = dataset.train_images if training else dataset.test_images
    labels = dataset.train_labels if training else dataset.test_labels
    batches = (
        np.resize(np.arange(len(images)), (1, batch_size))
        if operation == "evaluate"
        else np.random.default_rng(SEED).integers(0, len(images), (batch_count, batch_size))
    )
    folder.mkdir()
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "batches.npy", batches)
    np.savez(folder / "weights.npz", allow_pickle=False, **weights)
    losses = functools.partial(_losses, momentum=momentum)
    oracle = {"step": losses, "predict": _probabilities, "evaluate": _loss_and_accuracy}[operation]
    answers = oracle(weights, images, labels, batches[:CHECKED_STEPS])
    return Workload(operation, batch_size, folder, answers, momentum)


def _initial_weights() -> Weights:
    return reference.initial_parameters(num_classes=10, seed=SEED, init=INIT)


def _trained_weights(dataset: Dataset) -> Weights:
    """Those after a few hundred of our own steps: it makes no difference to anybody who trained them."""
    trainer = Trainer(device="cpu", learning_rate=LEARNING_RATE, init=INIT, seed=SEED)
    count = len(dataset.train_images)
    rows = np.random.default_rng(SEED).integers(0, count, (TRAINED_STEPS, TRAINED_BATCH))
    trainer.run(dataset.train_images, dataset.train_labels, rows)
    return trainer.state_dict()


def _losses(
    weights: Weights, images: Array, labels: Array, batches: Array, *, momentum: float
) -> list[float]:
    oracle = reference.Sgd(weights, LEARNING_RATE, momentum)
    return [oracle.step(images[rows], labels[rows]) for rows in batches]


def _probabilities(weights: Weights, images: Array, labels: Array, batches: Array) -> list[float]:
    del labels
    probabilities: list[float] = np.exp(_logarithms(weights, images[batches.ravel()])).ravel().tolist()
    return probabilities


def _loss_and_accuracy(weights: Weights, images: Array, labels: Array, batches: Array) -> list[float]:
    (rows,) = batches
    logarithms = _logarithms(weights, images[rows])
    loss = -logarithms[np.arange(len(rows)), labels[rows]].mean()
    return [float(loss), float((logarithms.argmax(axis=1) == labels[rows]).mean())]


def _logarithms(weights: Weights, images: Array) -> Array:
    """The oracle's logarithms of probabilities, (n, 10)."""
    exact = reference.as_float64(weights)
    firsts = range(0, len(images), ORACLE_CHUNK)
    logits = [reference.forward(exact, images[first : first + ORACLE_CHUNK]).logits for first in firsts]
    return reference.log_softmax(np.concatenate(logits))


def worst_error(answers: list[float], expected: list[float], *, relative: bool) -> float:
    """The largest difference; infinite where an answer is missing or not a number."""
    if len(answers) != len(expected):
        return float("inf")
    difference: Array = np.abs(np.array(answers) - expected)
    worst = float(np.max(difference / np.abs(expected) if relative else difference))
    return worst if np.isfinite(worst) else float("inf")
