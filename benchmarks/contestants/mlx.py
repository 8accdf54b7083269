"""MLX: one compiled step over the parameters."""

# ruff: noqa: D101, D102 (Contestant describes the methods, and the names say what the subclasses are)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import mlx.core as mx
import numpy as np

from .base import (
    MOMENTUM_PREFIX,
    Array,
    Contestant,
    Job,
    Mode,
    UnavailableError,
    Weights,
    gather,
    parameters_of,
    sgd,
)

PEER = {
    "imports": "mlx.core",
    "install": "pip install mlx    # on Linux: pip install 'mlx[cpu]'",
    "distributions": ("mlx",),
    "forms": {
        "mlx-cpu": {"device": "cpu", "class_name": "Compiled"},
        "mlx-mps": {"device": "mps", "class_name": "CompiledGpu"},
    },
}

State = dict[str, mx.array]  # weights and, with momentum, velocities


def pool(x: mx.array) -> mx.array:
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def mean_loss(p: State, images: mx.array, labels: mx.array) -> mx.array:
    x = pool(mx.maximum(mx.conv2d(images, p["conv0.weight"], padding=2) + p["conv0.bias"], 0))
    x = pool(mx.maximum(mx.conv2d(x, p["conv1.weight"], padding=2) + p["conv1.bias"], 0))
    x = mx.maximum(mx.addmm(p["fc0.bias"], x.reshape(len(images), -1), p["fc0.weight"]), 0)
    logits = mx.addmm(p["fc1.bias"], x, p["fc1.weight"])
    right = mx.take_along_axis(logits, labels[:, None], axis=1).squeeze(1)
    return (mx.logsumexp(logits, axis=1) - right).mean()


class Compiled(Contestant):
    """NHWC, weights OHWI."""

    device: ClassVar[str] = "cpu"

    def __init__(self, job: Job) -> None:
        if self.device == "gpu" and not mx.metal.is_available():
            raise UnavailableError("MLX finds no Metal device here")
        mx.set_default_device(mx.Device(mx.gpu if self.device == "gpu" else mx.cpu))
        self._job = job
        self._update = mx.compile(self._one_update)
        self.load(job.weights)

    def load(self, weights: Weights) -> None:
        self._state = {name: mx.array(np.asarray(value)) for name, value in weights.items()}
        for name in ("conv0.weight", "conv1.weight"):  # HWIO to OHWI
            self._state[name] = mx.contiguous(self._state[name].transpose(3, 0, 1, 2))
        if self._job.momentum > 0:
            zeros = {MOMENTUM_PREFIX + name: mx.zeros_like(value) for name, value in self._state.items()}
            self._state |= zeros
        mx.eval(self._state)

    def prepare(self, rows: Array) -> tuple[mx.array, mx.array]:
        images, labels = gather(self._job, rows)
        batch = mx.array(images), mx.array(labels.astype(np.int32))
        mx.eval(*batch)
        return batch

    def step(self, batch: Any) -> float:
        self._state, loss = self._update(self._state, *batch)
        mx.eval(self._state, loss)
        return _number(loss)

    def throughput_modes(self) -> dict[str, Mode]:
        return {"async_eval": Mode(self.prepare, self._queued)}

    def _queued(self, batches: Sequence[Any]) -> list[float]:
        losses = []
        for batch in batches:
            self._state, loss = self._update(self._state, *batch)
            mx.async_eval(self._state, loss)
            losses.append(loss)
        mx.eval(self._state)
        return [_number(loss) for loss in losses]

    def _one_update(self, state: State, images: mx.array, labels: mx.array) -> tuple[State, mx.array]:
        loss, gradients = mx.value_and_grad(mean_loss)(parameters_of(state), images, labels)
        return sgd(state, gradients, self._job.learning_rate, self._job.momentum), loss


class CompiledGpu(Compiled):
    device = "gpu"


def _number(scalar: mx.array) -> float:
    value: Any = scalar.item()
    return float(value)
