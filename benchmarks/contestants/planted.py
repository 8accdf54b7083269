"""A contestant that is wrong on purpose: it shows that the harness notices."""

# ruff: noqa: D102 (Contestant describes the methods, and the names say what the subclasses are)

from __future__ import annotations

import numpy as np

from .base import PIXEL_SCALE, Array
from .numpy import NumpyFloor

PEER = {
    "imports": "numpy",
    "install": "pip install numpy",
    "distributions": ("numpy",),
    "operations": ("step", "predict", "evaluate"),
    "forms": {"planted-wrong-cpu": {"device": "cpu", "class_name": "Wrong", "only_by_name": True}},
}


class Wrong(NumpyFloor):
    """The NumPy floor with mistakes that people make.

    Training: conv1's weight gradient is rotated by 180 degrees. Prediction: pixels stay 0 to 255.
    """

    def loss_and_gradients(self, images: Array, labels: Array) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients(images, labels)
        gradients["conv1.weight"] = gradients["conv1.weight"][::-1, ::-1].copy()
        return loss, gradients

    def logits(self, images: Array) -> Array:
        return super().logits(images / np.float32(PIXEL_SCALE))
