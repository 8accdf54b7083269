"""A contestant that is wrong on purpose: it shows that the harness notices."""

# ruff: noqa: D102 (Contestant describes the methods, and the names say what the subclasses are)

from __future__ import annotations

from .base import Array
from .numpy import NumpyFloor


class WrongGradient(NumpyFloor):
    """The NumPy floor with a mistake people make: conv1's weight gradient is turned half around."""

    def loss_and_gradients(self, images: Array, labels: Array) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients(images, labels)
        gradients["conv1.weight"] = gradients["conv1.weight"][::-1, ::-1].copy()
        return loss, gradients
