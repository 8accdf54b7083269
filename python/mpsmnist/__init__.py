"""Trains the classic MNIST convolutional network through a native core.

``Trainer`` is the heart of it; ``mpsmnist.data`` loads datasets, ``mpsmnist.train`` runs the training loop.
"""

import importlib
from typing import TYPE_CHECKING, Any

try:
    from ._core import (
        Evaluation,
        Gradients,
        NotFiniteError,
        PendingLoss,
        Trainer,
        __version__,
        augment,
        describe_devices,
        devices,
    )
except ModuleNotFoundError as error:
    if error.name != f"{__name__}._core":
        raise
    raise ImportError(
        f"{__path__[0]} is mpsmnist's source code, without its native core: "
        "run `pip install .` in the folder of its pyproject.toml, and Python in another folder"
    ) from None

from .errors import CheckpointError, DatasetError, DeviceError, Error
from .fastest import fastest_device

if TYPE_CHECKING:
    from . import app as app
    from . import checkpoint as checkpoint
    from . import data as data
    from . import doctor as doctor
    from . import interop as interop
    from . import network as network
    from . import plot as plot
    from . import predict as predict
    from . import train as train

__all__ = [
    "CheckpointError",
    "DatasetError",
    "DeviceError",
    "Error",
    "Evaluation",
    "Gradients",
    "NotFiniteError",
    "PendingLoss",
    "Trainer",
    "__version__",
    "augment",
    "describe_devices",
    "devices",
    "fastest_device",
]

# Imported when they are first used: `import mpsmnist` alone must stay quick.
_MODULES = frozenset(
    {"app", "checkpoint", "data", "doctor", "interop", "network", "plot", "predict", "train"}
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        try:
            return importlib.import_module(f".{name}", __name__)
        except ImportError as error:  # such as plot's without its extra: help() and hasattr() take no other
            raise AttributeError(str(error)) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(globals().keys() | _MODULES)
