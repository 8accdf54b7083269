"""tinygrad: one step under TinyJit."""

# ruff: noqa: D101, D102 (Contestant describes the methods, and the names say what the subclasses are)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from tinygrad.device import Device
from tinygrad.engine.jit import TinyJit
from tinygrad.tensor import Tensor

from .base import Array, Contestant, Job, Mode, UnavailableError, Weights, gather

PEER = {
    "imports": "tinygrad",
    "install": "pip install tinygrad",
    "distributions": ("tinygrad",),
    "thread_variables": ("NUM_CPU_THREADS",),
    "forms": {
        "tinygrad-cpu": {"device": "cpu", "class_name": "Jitted"},
        "tinygrad-mps": {"device": "mps", "class_name": "JittedMetal"},
        "tinygrad-cuda": {"device": "cuda", "class_name": "JittedCuda"},
    },
}


def require(device: str) -> None:
    """Raises UnavailableError where tinygrad has no such device."""
    try:
        Device[device]
    except Exception as error:  # each backend reports its absence in its own way
        hint = "; it needs clang, or CC=NAME of one" if device == "CPU" else ""
        raise UnavailableError(f"tinygrad has no {device} device here{hint} ({error!r})") from error


class Jitted(Contestant):
    """NCHW. The CPU device compiles with clang, by the name in CC where that is set."""

    device: ClassVar[str] = "CPU"

    def __init__(self, job: Job) -> None:
        require(self.device)
        self._job = job
        self._parameters = {name: self._placed(value) for name, value in self._converted(job.weights).items()}
        if job.momentum > 0:
            self._velocities = [
                self._placed(np.zeros(p.shape, np.float32)) for p in self._parameters.values()
            ]
        self._update = TinyJit(self._one_update)

    def load(self, weights: Weights) -> None:
        for name, value in self._converted(weights).items():
            self._parameters[name].assign(self._placed(value)).realize()
        if self._job.momentum > 0:
            for velocity in self._velocities:
                velocity.assign(velocity.zeros_like()).realize()

    def prepare(self, rows: Array) -> tuple[Tensor, Tensor]:
        images, labels = gather(self._job, rows)
        return self._placed(images.transpose(0, 3, 1, 2)), self._placed(labels.astype(np.int32))

    def step(self, batch: Any) -> float:
        loss = float(self._update(*batch).item())
        Device[self.device].synchronize()
        return loss

    def throughput_modes(self) -> dict[str, Mode]:
        return {"queued": Mode(self.prepare, self._queued)}

    def _queued(self, batches: Sequence[Any]) -> list[float]:
        losses = [self._update(*batch).clone().realize() for batch in batches]
        Device[self.device].synchronize()
        return [float(loss.item()) for loss in losses]

    def _one_update(self, images: Tensor, labels: Tensor) -> Tensor:
        parameters = list(self._parameters.values())
        loss = self._logits(images).sparse_categorical_crossentropy(labels)
        gradients = loss.gradient(*parameters)
        steps, momentum = gradients, self._job.momentum
        if momentum > 0:
            pairs = zip(self._velocities, gradients, strict=True)
            steps = [velocity.assign(momentum * velocity.detach() + gradient) for velocity, gradient in pairs]
        updates = [
            parameter.assign(parameter.detach() - self._job.learning_rate * step)
            for parameter, step in zip(parameters, steps, strict=True)
        ]
        loss.realize(*updates, *(steps if momentum > 0 else ()))
        return loss

    def _logits(self, images: Tensor) -> Tensor:
        p: dict[str, Any] = self._parameters
        x: Any = images.conv2d(p["conv0.weight"], p["conv0.bias"], padding=2).relu().max_pool2d((2, 2))
        x = x.conv2d(p["conv1.weight"], p["conv1.bias"], padding=2).relu().max_pool2d((2, 2))
        x = x.flatten(1).linear(p["fc0.weight"], p["fc0.bias"]).relu()
        logits: Tensor = x.linear(p["fc1.weight"], p["fc1.bias"])
        return logits

    def _converted(self, weights: Weights) -> dict[str, Array]:
        """OIHW, and fc0's inputs in NCHW order."""
        converted: dict[str, Array] = dict(weights)
        for name in ("conv0.weight", "conv1.weight"):
            converted[name] = weights[name].transpose(3, 2, 0, 1)
        fc0 = weights["fc0.weight"].reshape(7, 7, 64, -1)
        converted["fc0.weight"] = fc0.transpose(2, 0, 1, 3).reshape(7 * 7 * 64, -1)
        return converted

    def _placed(self, array: Array) -> Tensor:
        return Tensor(np.ascontiguousarray(array), device=self.device).realize()


class JittedMetal(Jitted):
    device = "METAL"


class JittedCuda(Jitted):
    device = "CUDA"
