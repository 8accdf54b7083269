"""The network's parameters: their names and shapes, and their layouts in other frameworks."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ._core import MOMENTUM_PREFIX, parameter_shapes

__all__ = [
    "MOMENTUM_PREFIX",
    "channels_first_shapes",
    "from_channels_first",
    "has_momentum_buffers",
    "parameter_shapes",
    "state_shapes",
    "to_channels_first",
    "without_momentum",
]

FloatArray = NDArray[np.float32]

# (height, width, channels) of the features that fc0's 3,136 inputs are flattened from.
_FLATTENED = (7, 7, 64)


def has_momentum_buffers(momentum: float) -> bool:
    """Tell whether Trainer(momentum=momentum) has them: below the smallest normal float32 momentum is 0."""
    return momentum >= float(np.finfo(np.float32).tiny)


def state_shapes(num_classes: int = 10, *, momentum: bool = False) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of Trainer.state_dict(), in order; `momentum` includes momentum buffers."""
    shapes = parameter_shapes(num_classes)
    if momentum:
        shapes |= {MOMENTUM_PREFIX + name: shape for name, shape in shapes.items()}
    return shapes


def without_momentum(state: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the parameters in a state dict, in its order, without the momentum buffers."""
    return {name: value for name, value in state.items() if not name.startswith(MOMENTUM_PREFIX)}


def channels_first_shapes(num_classes: int = 10) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of to_channels_first() of the parameters, in order."""
    orders = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
    return {
        name: tuple(shape[axis] for axis in orders[len(shape)])
        for name, shape in parameter_shapes(num_classes).items()
    }


def to_channels_first(state: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Convert a state dict to the layouts of PyTorch, whose images are (n, channels, height, width).

    | parameter | here | there |
    |---|---|---|
    | conv0.weight, conv1.weight | (5, 5, in, out) HWIO | (out, in, 5, 5) OIHW |
    | fc0.weight | (3136, 1024), inputs flattened from (7, 7, 64) | (1024, 3136), from (64, 7, 7) |
    | fc1.weight | (1024, C) | (C, 1024) |
    | biases | (out,) | the same |

    Args:
        state: float32 arrays by name, as in Trainer.state_dict(); momentum buffers are laid out like their
            parameters. It need not have all the names.

    Returns:
        New C-contiguous arrays by the same names.
    """
    return {name: _to_channels_first(name, value) for name, value in state.items()}


def from_channels_first(state: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Undo to_channels_first: new C-contiguous arrays, ready for Trainer.load_state_dict()."""
    return {name: _from_channels_first(name, value) for name, value in state.items()}


def _to_channels_first(name: str, value: FloatArray) -> FloatArray:
    if value.ndim == 4:
        value = value.transpose(3, 2, 0, 1)
    elif value.ndim == 2:
        if _is_fc0(name):
            value = value.reshape(*_FLATTENED, -1).transpose(2, 0, 1, 3).reshape(value.shape)
        value = value.T
    return np.array(value, order="C")


def _from_channels_first(name: str, value: FloatArray) -> FloatArray:
    if value.ndim == 4:
        value = value.transpose(2, 3, 1, 0)
    elif value.ndim == 2:
        value = value.T
        if _is_fc0(name):
            height, width, channels = _FLATTENED
            value = value.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(value.shape)
    return np.array(value, order="C")


def _is_fc0(name: str) -> bool:
    return name.removeprefix(MOMENTUM_PREFIX) == "fc0.weight"
