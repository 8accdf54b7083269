"""JAX: one jitted step that takes over its parameters' buffers."""

# ruff: noqa: D101, D102 (Contestant describes the methods, and the names say what the subclasses are)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

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
    "imports": "jax",
    "install": "pip install jax",
    "distributions": ("jax", "jaxlib"),
    "forms": {
        "jax-cpu": {"device": "cpu", "class_name": "Jitted"},
        "jax-cuda": {"device": "cuda", "class_name": "JittedGpu", "install": "pip install 'jax[cuda13]'"},
    },
}


def convolution(x: jax.Array, weight: jax.Array) -> jax.Array:
    layouts = ("NHWC", "HWIO", "NHWC")
    y: jax.Array = lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=layouts)
    return y


def pool(x: jax.Array) -> jax.Array:
    y: jax.Array = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return y


def mean_loss(p: dict[str, jax.Array], images: jax.Array, labels: jax.Array) -> jax.Array:
    x = pool(jax.nn.relu(convolution(images, p["conv0.weight"]) + p["conv0.bias"]))
    x = pool(jax.nn.relu(convolution(x, p["conv1.weight"]) + p["conv1.bias"]))
    x = jax.nn.relu(x.reshape(len(images), -1) @ p["fc0.weight"] + p["fc0.bias"])
    logits = x @ p["fc1.weight"] + p["fc1.bias"]
    right = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -right.mean()


class Jitted(Contestant):
    """NHWC; full fp32 products on every device."""

    platform: ClassVar[str] = "cpu"

    def __init__(self, job: Job) -> None:
        try:
            self._device = jax.devices(self.platform)[0]
        except RuntimeError as error:
            raise UnavailableError(f"JAX {jax.__version__} finds no {self.platform} device here") from error
        jax.config.update("jax_default_matmul_precision", "highest")
        self._job = job
        self._update = jax.jit(self._one_update, donate_argnums=0)
        self.load(job.weights)

    def load(self, weights: Weights) -> None:
        self._state = self._placed(weights)
        if self._job.momentum > 0:
            zeros = {MOMENTUM_PREFIX + name: np.zeros_like(value) for name, value in weights.items()}
            self._state |= self._placed(zeros)

    def prepare(self, rows: Array) -> tuple[jax.Array, jax.Array]:
        images, labels = gather(self._job, rows)
        on_device = jax.device_put((images, labels.astype(np.int32)), self._device)
        placed: tuple[jax.Array, jax.Array] = jax.block_until_ready(on_device)
        return placed

    def step(self, batch: Any) -> float:
        self._state, loss = self._update(self._state, *batch)
        jax.block_until_ready(self._state)
        return float(loss)

    def throughput_modes(self) -> dict[str, Mode]:
        return {"dispatched": Mode(self.prepare, self._dispatched)}

    def _dispatched(self, batches: Sequence[Any]) -> list[float]:
        losses = []
        for batch in batches:
            self._state, loss = self._update(self._state, *batch)
            losses.append(loss)
        jax.block_until_ready(self._state)
        return [float(loss) for loss in losses]

    def _placed(self, tensors: Weights) -> dict[str, jax.Array]:
        """Copies: donated buffers must not be NumPy's."""
        return {
            name: jax.device_put(np.array(value), self._device, may_alias=False)
            for name, value in tensors.items()
        }

    def _one_update(
        self, state: dict[str, jax.Array], images: jax.Array, labels: jax.Array
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        loss, gradients = jax.value_and_grad(mean_loss)(parameters_of(state), images, labels)
        return sgd(state, gradients, self._job.learning_rate, self._job.momentum), loss


class JittedGpu(Jitted):
    platform = "gpu"
