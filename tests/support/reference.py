"""The oracle: the network in float64 NumPy, written for clarity and independent of the native core.

Tensors are dictionaries in the one order of parameters. Images reshape to (n, 28, 28, 1); bytes are scaled by
1/255. Labels are class numbers (n,) or probabilities (n, C). Results are float64 unless they say otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tensors = dict[str, Array]

KERNEL = 5
PAD = KERNEL // 2  # SAME with stride 1

# Window entries closer than this (relative to the layer's largest) are one tie: a float64 BLAS may round
# equal patches differently at the edges of its blocks, by about 1e-15.
TIE = 1e-12


def parameter_shapes(num_classes: int = 10) -> dict[str, tuple[int, ...]]:
    """Names and shapes, in the order that state dicts and flat vectors use."""
    return {
        "conv0.weight": (KERNEL, KERNEL, 1, 32),
        "conv0.bias": (32,),
        "conv1.weight": (KERNEL, KERNEL, 32, 64),
        "conv1.bias": (64,),
        "fc0.weight": (7 * 7 * 64, 1024),
        "fc0.bias": (1024,),
        "fc1.weight": (1024, num_classes),
        "fc1.bias": (num_classes,),
    }


def splitmix64(seed: int, count: int, *, skip: int = 0) -> NDArray[np.uint64]:
    """`count` draws of the splitmix64 stream of `seed` (Steele, Lea and Flood, 2014), after `skip` others."""
    steps = np.arange(skip + 1, skip + count + 1, dtype=np.uint64)
    z = np.uint64(seed) + steps * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def initial_parameters(num_classes: int = 10, seed: int = 0, init: str = "uniform") -> Tensors:
    """Initial values, float32 and exact: what every engine must start from.

    The top 24 bits of each draw make an integer in [-2**23, 2**23); times limit / 2**23, rounded once.
    """
    parameters: Tensors = {}
    drawn = 0
    for name, shape in parameter_shapes(num_classes).items():
        if name.endswith(".bias"):
            parameters[name] = np.full(shape, 0.1 if init == "uniform" else 0.0, np.float32)
            continue
        size = math.prod(shape)
        fan_in = math.prod(shape[:-1])
        limit = 0.2 if init == "uniform" else math.sqrt(6.0 / fan_in)
        integers = (splitmix64(seed, size, skip=drawn) >> np.uint64(40)).astype(np.int64) - 2**23
        parameters[name] = (integers.astype(np.float32) * np.float32(limit / 2**23)).reshape(shape)
        drawn += size
    return parameters


def flatten(tensors: Mapping[str, Array]) -> Array:
    """The flat (P,) vector of a dictionary of tensors."""
    return np.concatenate([tensor.ravel() for tensor in tensors.values()])


def unflatten(flat: Array, num_classes: int = 10) -> Tensors:
    """The tensors of a flat (P,) vector."""
    shapes = parameter_shapes(num_classes)
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    parts = np.split(flat, ends[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def as_float64(tensors: Mapping[str, Array]) -> Tensors:
    """A float64 copy."""
    return {name: np.array(tensor, np.float64) for name, tensor in tensors.items()}


def scaled(images: Array) -> Array:
    """Images as the network sees them: (n, 28, 28, 1) float64, bytes scaled by 1/255."""
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    return (images.astype(np.float64) / scale).reshape(-1, 28, 28, 1)


def one_hot(labels: Array, num_classes: int) -> Array:
    """Labels as rows of probabilities, (n, C) float64."""
    if labels.ndim == 2:
        return labels.astype(np.float64)
    return np.eye(num_classes)[labels.astype(np.int64)]


def _patches(x: Array) -> Array:
    """The 5x5 neighbourhoods of x (n, h, w, c), as rows (n*h*w, 25*c) in HWI order."""
    n, h, w, c = x.shape
    padded = np.pad(x, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (KERNEL, KERNEL), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(n * h * w, KERNEL * KERNEL * c)


def conv_forward(x: Array, weight: Array) -> Array:
    """SAME 5x5 correlation of x (n, h, w, i) with weight (5, 5, i, o): (n, h, w, o)."""
    return (_patches(x) @ weight.reshape(-1, weight.shape[-1])).reshape(*x.shape[:3], weight.shape[-1])


def conv_backward_weight(x: Array, dy: Array) -> Array:
    """d loss / d weight (5, 5, i, o), for dy (n, h, w, o)."""
    outputs = dy.shape[-1]
    return (_patches(x).T @ dy.reshape(-1, outputs)).reshape(KERNEL, KERNEL, x.shape[-1], outputs)


def conv_backward_input(dy: Array, weight: Array) -> Array:
    """d loss / d x (n, h, w, i): the correlation of dy with the weight turned half around."""
    return conv_forward(dy, weight[::-1, ::-1].transpose(0, 1, 3, 2))


def _windows(x: Array) -> Array:
    """The 2x2 windows of x (n, h, w, c), row-major within each: (n, h/2, w/2, c, 4)."""
    n, h, w, c = x.shape
    split = x.reshape(n, h // 2, 2, w // 2, 2, c)
    return split.transpose(0, 1, 3, 5, 2, 4).reshape(n, h // 2, w // 2, c, 4)


def pool_shares(x: Array, ties: str) -> Array:
    """What share of each 2x2 window's gradient its entries get, in row-major order: (n, h/2, w/2, c, 4).

    ties: of several maxima the "first" or the "last" gets all, or they are "shared" equally.
    """
    windows = _windows(x)
    top = windows.max(axis=-1, keepdims=True)
    maxima = windows >= top - TIE * np.abs(windows).max()
    if ties == "shared":
        return np.asarray(maxima / maxima.sum(axis=-1, keepdims=True))
    winners = {"first": np.argmax(maxima, axis=-1), "last": 3 - np.argmax(maxima[..., ::-1], axis=-1)}[ties]
    return np.asarray((winners[..., None] == np.arange(4)).astype(np.float64))


def pool_forward(x: Array, shares: Array) -> Array:
    """The maxima of x (n, h, w, c): (n, h/2, w/2, c)."""
    return np.asarray((_windows(x) * shares).sum(axis=-1))


def pool_backward(dy: Array, shares: Array) -> Array:
    """d loss / d x (n, h, w, c): each window's gradient is shared out."""
    n, h, w, c = dy.shape
    spread = dy[..., None] * shares
    dx: Array = spread.reshape(n, h, w, c, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(n, 2 * h, 2 * w, c)
    return dx


def log_softmax(logits: Array) -> Array:
    """Logarithms of the softmax probabilities of each row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logarithms: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logarithms


class Activations(NamedTuple):
    """What the forward pass leaves for the backward pass; z is before ReLU, x goes into the layer."""

    x0: Array  # (n, 28, 28, 1)
    z0: Array  # (n, 28, 28, 32)
    shares0: Array  # (n, 14, 14, 32, 4)
    x1: Array  # (n, 14, 14, 32)
    z1: Array  # (n, 14, 14, 64)
    shares1: Array  # (n, 7, 7, 64, 4)
    x2: Array  # (n, 3136)
    z2: Array  # (n, 1024)
    x3: Array  # (n, 1024)
    logits: Array  # (n, C)


def relu(z: Array) -> Array:
    return np.maximum(z, 0.0)


def forward(parameters: Mapping[str, Array], images: Array, ties: str = "first") -> Activations:
    """The forward pass. Only gradients depend on the rule for ties."""
    p = parameters
    x0 = scaled(images)
    z0 = conv_forward(x0, p["conv0.weight"]) + p["conv0.bias"]
    shares0 = pool_shares(relu(z0), ties)
    x1 = pool_forward(relu(z0), shares0)
    z1 = conv_forward(x1, p["conv1.weight"]) + p["conv1.bias"]
    shares1 = pool_shares(relu(z1), ties)
    x2 = pool_forward(relu(z1), shares1).reshape(len(x0), -1)
    z2 = x2 @ p["fc0.weight"] + p["fc0.bias"]
    x3 = relu(z2)
    logits = x3 @ p["fc1.weight"] + p["fc1.bias"]
    return Activations(x0, z0, shares0, x1, z1, shares1, x2, z2, x3, logits)


def predict(parameters: Mapping[str, Array], images: Array) -> Array:
    """Softmax probabilities (n, C)."""
    return np.exp(log_softmax(forward(parameters, images).logits))


def loss(parameters: Mapping[str, Array], images: Array, labels: Array) -> float:
    """Mean cross-entropy."""
    logits = forward(parameters, images).logits
    return _mean_cross_entropy(logits, one_hot(labels, logits.shape[1]))


def _mean_cross_entropy(logits: Array, targets: Array) -> float:
    return float(-(targets * log_softmax(logits)).sum() / len(logits))


def loss_and_gradients(
    parameters: Mapping[str, Array], images: Array, labels: Array, ties: str = "first"
) -> tuple[float, Tensors]:
    """The mean loss and its gradient for every parameter; `ties` as in pool_shares()."""
    p = parameters
    a = forward(p, images, ties)
    n, classes = a.logits.shape
    targets = one_hot(labels, classes)
    # Rows of soft labels sum to 1 only within rounding: the factor keeps the derivative exact.
    probabilities = np.exp(log_softmax(a.logits))
    dlogits = (probabilities * targets.sum(axis=1, keepdims=True) - targets) / n
    dz2 = (dlogits @ p["fc1.weight"].T) * (a.z2 > 0)
    dpool1 = (dz2 @ p["fc0.weight"].T).reshape(a.shares1.shape[:-1])
    dz1 = pool_backward(dpool1, a.shares1) * (a.z1 > 0)
    dz0 = pool_backward(conv_backward_input(dz1, p["conv1.weight"]), a.shares0) * (a.z0 > 0)
    gradients = {
        "conv0.weight": conv_backward_weight(a.x0, dz0),
        "conv0.bias": dz0.sum(axis=(0, 1, 2)),
        "conv1.weight": conv_backward_weight(a.x1, dz1),
        "conv1.bias": dz1.sum(axis=(0, 1, 2)),
        "fc0.weight": a.x2.T @ dz2,
        "fc0.bias": dz2.sum(axis=0),
        "fc1.weight": a.x3.T @ dlogits,
        "fc1.bias": dlogits.sum(axis=0),
    }
    return _mean_cross_entropy(a.logits, targets), gradients


def decision_margin(parameters: Mapping[str, Array], images: Array) -> float:
    """How far the closest undecided ReLU or pool is from going the other way, relative to its layer's rms.

    An engine whose pre-activations err by less makes the same choices, so its gradients can be compared.
    Exact ties and exact zeros are decided by convention (the first maximum wins; ReLU passes no gradient at
    0) and do not count.
    """
    a = forward(parameters, images)
    margins = [_pool_margin(z) / np.sqrt(np.mean(z**2)) for z in (a.z0, a.z1)]
    margins.append(np.abs(a.z2[a.z2 != 0]).min() / np.sqrt(np.mean(a.z2**2)))
    return float(min(margins))


def _pool_margin(z: Array) -> float:
    windows = np.sort(_windows(z), axis=-1)
    top = windows[..., -1]
    tied = windows >= top[..., None] - TIE * np.abs(windows).max()
    runner_up = np.where(tied, 0.0, relu(windows)).max(axis=-1)
    gap = np.where(top > 0, top - runner_up, -top)
    return float(gap[top != 0].min())


@dataclass
class Sgd:
    """Training in float64 from given parameters: v <- momentum*v + g; w <- w - learning_rate*v."""

    parameters: Tensors
    learning_rate: float = 0.01
    momentum: float = 0.0
    velocity: Tensors = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parameters = as_float64(self.parameters)
        zeros = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        self.velocity = zeros | as_float64(self.velocity)

    def step(self, images: Array, labels: Array) -> float:
        """One update; returns the loss before it."""
        loss, gradients = loss_and_gradients(self.parameters, images, labels)
        self.apply(gradients)
        return loss

    def apply(self, gradients: Mapping[str, Array]) -> None:
        """The update that these gradients make."""
        for name, gradient in gradients.items():
            self.velocity[name] = self.momentum * self.velocity[name] + gradient
            self.parameters[name] = self.parameters[name] - self.learning_rate * self.velocity[name]
