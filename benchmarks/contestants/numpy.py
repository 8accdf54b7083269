"""The floor: im2col and BLAS, float32, written as a NumPy user who cares about speed would write it."""

# ruff: noqa: D102 (Contestant describes the methods, and the names say what the subclasses are)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import INFERENCE_CHUNK, Array, Job, Mode, Predictor, Weights, gather

PEER = {
    "imports": "numpy",
    "install": "pip install numpy",
    "distributions": ("numpy",),
    "operations": ("step", "predict", "evaluate"),
    "forms": {"numpy-cpu": {"device": "cpu", "class_name": "NumpyFloor"}},
}

KERNEL = 5
PAD = KERNEL // 2


def patches(x: Array) -> Array:
    """The 5x5 neighbourhoods of x (n, h, w, c), as rows (n*h*w, 25*c) in HWI order."""
    n, h, w, c = x.shape
    padded = np.zeros((n, h + 2 * PAD, w + 2 * PAD, c), x.dtype)
    padded[:, PAD : PAD + h, PAD : PAD + w] = x
    columns = np.empty((n, h, w, KERNEL, KERNEL * c), x.dtype)
    across = np.lib.stride_tricks.sliding_window_view(padded.reshape(n, h + 2 * PAD, -1), KERNEL * c, axis=2)
    for row in range(KERNEL):
        columns[:, :, :, row] = across[:, row : row + h, ::c]
    return columns.reshape(n * h * w, -1)


def scatter_patches(columns: Array, shape: tuple[int, ...]) -> Array:
    """Adds rows of patches (n*h*w, 25*c) back to where they came from: (n, h, w, c)."""
    n, h, w, c = shape
    padded = np.zeros((n, h + 2 * PAD, w + 2 * PAD, c), columns.dtype)
    split = columns.reshape(n, h, w, KERNEL, KERNEL, c)
    for row in range(KERNEL):
        for column in range(KERNEL):
            padded[:, row : row + h, column : column + w] += split[:, :, :, row, column]
    return padded[:, PAD : PAD + h, PAD : PAD + w]


def window_entries(x: Array) -> list[Array]:
    """The four entries, in row-major order, of the 2x2 windows of x (n, h, w, c): each (n, h/2, w/2, c)."""
    return [x[:, row::2, column::2] for row in range(2) for column in range(2)]


def relu_maxima(entries: Sequence[Array]) -> Array:
    """ReLU, then the largest entry of each window."""
    top: Array = np.maximum(np.maximum(*entries[:2]), np.maximum(*entries[2:]))
    return np.maximum(top, 0, out=top)


def pool(x: Array) -> tuple[Array, Array]:
    """ReLU, then the 2x2 maxima of x (n, h, w, c) and, per window entry, whether it won.

    The first maximum in row-major order wins; none does where the maximum is not above 0.
    """
    n, h, w, c = x.shape
    entries = window_entries(x)
    top = relu_maxima(entries)
    free = top > 0
    won = np.empty((n, h // 2, 2, w // 2, 2, c), bool)
    for (row, column), entry in zip(np.ndindex(2, 2), entries, strict=True):
        wins = free & (entry == top)
        won[:, :, row, :, column] = wins
        free &= ~wins
    return top, won


def unpool(dy: Array, won: Array) -> Array:
    """The gradient of pool, (n*h*w, c), for dy (n, h/2, w/2, c)."""
    spread: Array = dy[:, :, None, :, None] * won
    return spread.reshape(-1, dy.shape[-1])


def log_softmax(logits: Array) -> Array:
    """In place: the logarithms of the softmax probabilities of each row."""
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


class NumpyFloor(Predictor):
    """NHWC, every product a matrix product."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.load(job.weights)

    def load(self, weights: Weights) -> None:
        self._weights = {name: np.array(value, np.float32) for name, value in weights.items()}
        if self._job.momentum > 0:
            self._velocity = {name: np.zeros_like(value) for name, value in self._weights.items()}

    def prepare(self, rows: Array) -> tuple[Array, Array]:
        return gather(self._job, rows)

    def step(self, batch: Any) -> float:
        loss, gradients = self.loss_and_gradients(*batch)
        rate, momentum = np.float32(self._job.learning_rate), np.float32(self._job.momentum)
        for name, gradient in gradients.items():
            if momentum > 0:
                self._velocity[name] *= momentum
                self._velocity[name] += gradient
                np.copyto(gradient, self._velocity[name])
            self._weights[name] -= np.multiply(gradient, rate, out=gradient)
        return loss

    def predict(self, batch: Any) -> Array:
        images, _ = batch
        return np.exp(log_softmax(self._logits_in_chunks(images)))

    def evaluate(self, batch: Any) -> tuple[float, float]:
        images, labels = batch
        logarithms = log_softmax(self._logits_in_chunks(images))
        loss = -float(logarithms[np.arange(len(labels)), labels].mean())
        return loss, float((logarithms.argmax(axis=1) == labels).mean())

    def throughput_modes(self) -> dict[str, Mode]:
        """NumPy is never ahead of Python."""
        return {"loop": Mode(self.prepare, self._loop)}

    def _loop(self, batches: Sequence[Any]) -> list[float]:
        return [self.step(batch) for batch in batches]

    def logits(self, images: Array) -> Array:
        """The forward pass alone: (n, 10)."""
        p = self._weights
        n = len(images)
        z = patches(images) @ p["conv0.weight"].reshape(-1, 32) + p["conv0.bias"]
        x = relu_maxima(window_entries(z.reshape(n, 28, 28, -1)))
        z = patches(x) @ p["conv1.weight"].reshape(-1, 64) + p["conv1.bias"]
        x = relu_maxima(window_entries(z.reshape(n, 14, 14, -1))).reshape(n, -1)
        x = np.maximum(x @ p["fc0.weight"] + p["fc0.bias"], 0)
        logits: Array = x @ p["fc1.weight"] + p["fc1.bias"]
        return logits

    def _logits_in_chunks(self, images: Array) -> Array:
        firsts = range(0, len(images), INFERENCE_CHUNK)
        return np.concatenate([self.logits(images[first : first + INFERENCE_CHUNK]) for first in firsts])

    def loss_and_gradients(self, images: Array, labels: Array) -> tuple[float, dict[str, Array]]:
        """The mean loss and its gradient for every parameter, shaped like it."""
        p = self._weights
        n = len(images)
        matrix0, matrix1 = p["conv0.weight"].reshape(-1, 32), p["conv1.weight"].reshape(-1, 64)

        columns0 = patches(images)
        x1, won0 = pool((columns0 @ matrix0 + p["conv0.bias"]).reshape(n, 28, 28, -1))
        columns1 = patches(x1)
        pooled1, won1 = pool((columns1 @ matrix1 + p["conv1.bias"]).reshape(n, 14, 14, -1))
        x2 = pooled1.reshape(n, -1)
        x3 = np.maximum(x2 @ p["fc0.weight"] + p["fc0.bias"], 0)
        logits = x3 @ p["fc1.weight"] + p["fc1.bias"]

        logarithms = log_softmax(logits)
        rows = np.arange(n)
        loss = -float(logarithms[rows, labels].mean())
        dlogits = np.exp(logarithms)
        dlogits[rows, labels] -= 1
        dlogits /= n

        dz2 = (dlogits @ p["fc1.weight"].T) * (x3 > 0)
        dz1 = unpool((dz2 @ p["fc0.weight"].T).reshape(pooled1.shape), won1)
        dz0 = unpool(scatter_patches(dz1 @ matrix1.T, x1.shape), won0)
        return loss, {
            "conv0.weight": (columns0.T @ dz0).reshape(p["conv0.weight"].shape),
            "conv0.bias": dz0.sum(axis=0),
            "conv1.weight": (columns1.T @ dz1).reshape(p["conv1.weight"].shape),
            "conv1.bias": dz1.sum(axis=0),
            "fc0.weight": x2.T @ dz2,
            "fc0.bias": dz2.sum(axis=0),
            "fc1.weight": x3.T @ dlogits,
            "fc1.bias": dlogits.sum(axis=0),
        }
