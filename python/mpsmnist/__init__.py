"""Trains the classic MNIST convolutional network through a native core.

``Trainer`` is the heart of it; ``mpsmnist.data`` loads datasets, ``mpsmnist.train`` runs the training loop.
"""

try:
    from ._core import Evaluation, Gradients, PendingLoss, Trainer, __version__, devices
except ModuleNotFoundError as error:
    if error.name != f"{__name__}._core":
        raise
    raise ImportError(
        f"{__path__[0]} is mpsmnist's source code, without its native core: "
        "run `pip install .` in the folder of its pyproject.toml, and Python in another folder"
    ) from None

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
