"""The network in PyTorch, and back: `pip install 'mpsmnist[torch]'`.

from mpsmnist.interop.torch import load_state_dict, to_module

module = to_module(trainer)
probabilities = module(images).softmax(dim=1)  # float32 images (n, 1, 28, 28) of 0 to 1
load_state_dict(trainer, module.state_dict())
"""

import reprlib
from collections.abc import Mapping

from .._core import Trainer
from ..network import channels_first_shapes, from_channels_first, to_channels_first, without_momentum

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as error:
    raise ImportError(
        f"this needs PyTorch, which cannot be imported ({error}): pip install 'mpsmnist[torch]'"
    ) from error

__all__ = ["Network", "load_state_dict", "to_module", "to_state_dict"]


class Network(nn.Module):  # type: ignore[misc]
    """The network as a module: float32 images (n, 1, 28, 28) of 0 to 1 to logits (n, C).

    Its softmax is what Trainer.predict() returns, but for rounding. Its parameters have the names of
    Trainer.state_dict(); a new one begins with PyTorch's weights: see to_module() for those of a Trainer.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(1, 32, kernel_size=5, padding=2)
        self.conv1 = nn.Conv2d(32, 64, kernel_size=5, padding=2)
        self.fc0 = nn.Linear(64 * 7 * 7, 1024)
        self.fc1 = nn.Linear(1024, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits (n, C) of images (n, 1, 28, 28)."""
        features = functional.max_pool2d(functional.relu(self.conv0(images)), 2)
        features = functional.max_pool2d(functional.relu(self.conv1(features)), 2)
        return self.fc1(functional.relu(self.fc0(features.flatten(1))))


def to_state_dict(trainer: Trainer) -> dict[str, Tensor]:
    """Copy a Trainer's weights into tensors on the CPU, float32, in the layouts of PyTorch.

    The names are those of Trainer.state_dict(), without the momentum; mpsmnist.network.to_channels_first()
    has the layouts. What is trained with them goes back by load_state_dict().
    """
    _check_trainer(trainer)
    weights = to_channels_first(without_momentum(trainer.state_dict()))
    return {name: torch.from_numpy(value) for name, value in weights.items()}


def to_module(trainer: Trainer) -> Network:
    """Make a Network with a copy of a Trainer's weights, on the CPU; it draws no random numbers."""
    state = to_state_dict(trainer)
    with torch.device("meta"):  # no weights are drawn, to be replaced at once
        network = Network(trainer.num_classes)
    network.load_state_dict(state, assign=True)
    return network


def load_state_dict(trainer: Trainer, state: Mapping[str, Tensor]) -> None:
    """Replace a Trainer's weights by those of Network.state_dict(), or of any module with such parameters.

    Momentum buffers become zero. All is checked before anything changes.

    Args:
        trainer: of as many classes C.
        state: float32 tensors on the CPU with the names and shapes of to_state_dict().

    Raises:
        TypeError: what has another type, dtype or device.
        ValueError: other names or shapes, and values that are not finite.
    """
    _check_trainer(trainer)
    if not isinstance(state, Mapping):
        raise TypeError(f"state: a {type(state).__name__}; expected a mapping, as state_dict() returns")
    shapes = channels_first_shapes(trainer.num_classes)
    if state.keys() != shapes.keys():
        raise ValueError(f"state: the names {reprlib.repr(list(state))}; expected {', '.join(shapes)}")
    for name, shape in shapes.items():
        _check_tensor(f'state: "{name}"', state[name], shape)
    arrays = {name: state[name].numpy(force=True) for name in shapes}
    trainer.load_state_dict(from_channels_first(arrays))


def _check_trainer(trainer: object) -> None:
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer: a {type(trainer).__name__}; expected a Trainer")


def _check_tensor(where: str, tensor: object, shape: tuple[int, ...]) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{where}: a {type(tensor).__name__}; expected a tensor of PyTorch")
    if tensor.dtype != torch.float32:
        raise TypeError(f"{where}: dtype {tensor.dtype}; expected torch.float32: use .float()")
    if tensor.layout != torch.strided:
        raise TypeError(f"{where}: layout {tensor.layout}; expected torch.strided: use .to_dense()")
    if tensor.device.type != "cpu":
        raise TypeError(f"{where}: on device {str(tensor.device)!r}; expected 'cpu': use .cpu()")
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{where}: shape {tuple(tensor.shape)}; expected {shape}, as PyTorch has it")
