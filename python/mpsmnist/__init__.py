"""Trains the classic MNIST convolutional network through a native core.

``Trainer`` is the heart of it; ``mpsmnist.data`` loads datasets, ``mpsmnist.train`` runs the training loop.
"""

from ._core import Evaluation, Gradients, PendingLoss, Trainer, __version__, devices
from .errors import CheckpointError, DatasetError, DeviceError, Error

__all__ = [
    "CheckpointError",
    "DatasetError",
    "DeviceError",
    "Error",
    "Evaluation",
    "Gradients",
    "PendingLoss",
    "Trainer",
    "__version__",
    "devices",
]
