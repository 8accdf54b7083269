"""What a contestant is: the network in one framework, in the form that is fastest there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Weights = Mapping[str, NDArray[np.float32]]  # names and layouts of Trainer.state_dict()

MOMENTUM_PREFIX = "momentum."  # as there
PIXEL_SCALE = 1 / 255
# Images of one forward pass when peers predict or evaluate, the same as ours. PyTorch's eager layouts take as
# long per image with 500, and about 15% longer with 128.
INFERENCE_CHUNK = 256


class UnavailableError(Exception):
    """This contestant cannot run here; the message says why."""


@dataclass(frozen=True)
class Job:
    """What every contestant is given.

    images: uint8 (N, 28, 28); labels: uint8 (N,); weights: float32, where training starts. The update is
    v <- momentum*v + g; w <- w - learning_rate*v; with momentum 0 a contestant keeps no v.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    weights: Weights
    learning_rate: float
    threads: int
    momentum: float = 0.0


class Mode(NamedTuple):
    """A way to train without waiting for every loss.

    prepare: makes a batch from its rows of the images, outside the timed part.
    run: one update per batch; returns all losses once the last update is done.
    """

    prepare: Callable[[Array], Any]
    run: Callable[[Sequence[Any]], Sequence[float] | Array]


class Contestant(ABC):
    """One framework's training step on one device.

    The constructor may compile; it raises UnavailableError where its device is missing.
    """

    @abstractmethod
    def __init__(self, job: Job) -> None: ...

    @abstractmethod
    def load(self, weights: Weights) -> None:
        """Start again from these weights, without momentum."""

    @abstractmethod
    def prepare(self, rows: Array) -> Any:
        """The batch of these rows, in the form that suits this framework best: on its device."""

    @abstractmethod
    def step(self, batch: Any) -> float:
        """One update; waits for it and returns the loss before it."""

    @abstractmethod
    def throughput_modes(self) -> dict[str, Mode]:
        """Other ways to train, by name; each makes the same updates as `step`."""


class Predictor(Contestant):
    """A contestant that predicts and evaluates too. Batches are those of `prepare`."""

    @abstractmethod
    def predict(self, batch: Any) -> Array:
        """The softmax probabilities (n, 10) as a NumPy array."""

    @abstractmethod
    def evaluate(self, batch: Any) -> tuple[float, float]:
        """The mean loss, and the share of images that are classified right."""


def gather(job: Job, rows: Array) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Images (n, 28, 28, 1) float32 in [0, 1] and labels (n,) of these rows."""
    images = job.images[rows].astype(np.float32)
    images *= np.float32(PIXEL_SCALE)
    return images[..., None], job.labels[rows]


def parameters_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """The weights alone of a state that has velocities too, under the names of Trainer.state_dict()."""
    return {name: value for name, value in state.items() if not name.startswith(MOMENTUM_PREFIX)}


def sgd(
    state: Mapping[str, Any], gradients: Mapping[str, Any], learning_rate: float, momentum: float
) -> dict[str, Any]:
    """The state after one update, as new arrays of a framework whose arrays are values."""
    updated = {}
    for name, value in parameters_of(state).items():
        step = gradients[name]
        if momentum > 0:
            step = momentum * state[MOMENTUM_PREFIX + name] + step
            updated[MOMENTUM_PREFIX + name] = step
        updated[name] = value - learning_rate * step
    return updated
