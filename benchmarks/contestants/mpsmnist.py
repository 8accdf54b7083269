"""mpsmnist: the native Trainer, through Python, given bytes as a user would."""

# ruff: noqa: D101, D102 (Contestant describes the methods, and the names say what the subclasses are)

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

import mpsmnist

from .base import Array, Job, Mode, Predictor, UnavailableError, Weights

PEER = {
    "imports": "mpsmnist",
    "install": "pip install .",
    "distributions": ("mpsmnist", "numpy"),
    "forms": {
        "mpsmnist-cpu": {
            "device": "cpu",
            "class_name": "MpsmnistCpu",
            "operations": ("step", "predict", "evaluate"),
        },
        "mpsmnist-mps": {
            "device": "mps",
            "class_name": "MpsmnistMps",
            "operations": ("step", "predict", "evaluate"),
        },
        "mpsmnist-gradients-cpu": {"device": "cpu", "class_name": "GradientsCpu", "only_by_name": True},
        "mpsmnist-gradients-mps": {"device": "mps", "class_name": "GradientsMps", "only_by_name": True},
    },
}

IN_FLIGHT = 2


class Mpsmnist(Predictor):
    """Images stay bytes: scaling them is part of every call, inside the timed part."""

    device: ClassVar[str]

    def __init__(self, job: Job) -> None:
        if self.device not in mpsmnist.devices():
            raise UnavailableError(f"this build or machine has no {self.device} device")
        self._job = job
        self._trainer = mpsmnist.Trainer(
            device=self.device,
            learning_rate=job.learning_rate,
            momentum=job.momentum,
            threads=job.threads,
        )
        self.load(job.weights)

    def load(self, weights: Weights) -> None:
        self._trainer.load_state_dict(weights)

    def prepare(self, rows: Array) -> tuple[Array, Array]:
        return self._job.images[rows], self._job.labels[rows]

    def step(self, batch: Any) -> float:
        images, labels = batch
        return self._trainer.step(images, labels)

    def predict(self, batch: Any) -> Array:
        images, _ = batch
        return self._trainer.predict(images)

    def evaluate(self, batch: Any) -> tuple[float, float]:
        images, labels = batch
        evaluation = self._trainer.evaluate(images, labels)
        return evaluation.loss, evaluation.accuracy

    def throughput_modes(self) -> dict[str, Mode]:
        return {"step_async": Mode(self.prepare, self._two_deep), "run": Mode(_as_they_are, self._run)}

    def _two_deep(self, batches: Sequence[Any]) -> list[float]:
        pending: deque[mpsmnist.PendingLoss] = deque()
        losses = []
        for images, labels in batches:
            if len(pending) == IN_FLIGHT:
                losses.append(pending.popleft().result())
            pending.append(self._trainer.step_async(images, labels))
        return losses + [loss.result() for loss in pending]

    def _run(self, batches: Sequence[Any]) -> Array:
        """The images are gathered in native code, inside the timed part."""
        return self._trainer.run(self._job.images, self._job.labels, np.stack(batches))


class MpsmnistCpu(Mpsmnist):
    device = "cpu"


class MpsmnistMps(Mpsmnist):
    device = "mps"


class Gradients(Mpsmnist):
    """A step in two calls, for those who do something with the gradients in between: average them, say."""

    def step(self, batch: Any) -> float:
        images, labels = batch
        gradients = self._trainer.gradients(images, labels)
        self._trainer.apply_gradients(gradients)
        return gradients.loss

    def throughput_modes(self) -> dict[str, Mode]:
        return {}


class GradientsCpu(Gradients):
    device = "cpu"


class GradientsMps(Gradients):
    device = "mps"


def _as_they_are(rows: Array) -> Array:
    return rows
