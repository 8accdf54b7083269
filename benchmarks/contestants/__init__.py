"""The contestants by name. Nothing here imports a framework."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

TORCH = "pip install torch"
TINYGRAD = "pip install tinygrad"
MLX = "pip install mlx    # on Linux: pip install 'mlx[cpu]'"
JAX = "pip install jax"
OURS = "mpsmnist"

TRAINING = ("step",)
OPERATIONS = (*TRAINING, "predict", "evaluate")  # methods of contestants


class Entry(NamedTuple):
    """Where a contestant is found, and what it needs."""

    name: str  # framework, form and device
    device: str
    module: str
    attribute: str
    imports: str  # the module whose import is timed
    install: str
    operations: tuple[str, ...] = TRAINING  # what is timed here; more than steps wants a Predictor

    @property
    def is_peer(self) -> bool:
        """Whether it is another framework."""
        return self.imports != OURS

    @property
    def installed(self) -> bool:
        """Whether its framework can be imported, as far as one can tell without doing it."""
        return find_spec(self.imports.partition(".")[0]) is not None


CONTESTANTS = (
    Entry("mpsmnist-cpu", "cpu", "mpsmnist", "MpsmnistCpu", "mpsmnist", "pip install .", OPERATIONS),
    Entry("mpsmnist-mps", "mps", "mpsmnist", "MpsmnistMps", "mpsmnist", "pip install .", OPERATIONS),
    Entry("torch-eager-cpu", "cpu", "torch", "Eager", "torch", TORCH, OPERATIONS),
    Entry("torch-channels-last-cpu", "cpu", "torch", "ChannelsLast", "torch", TORCH, OPERATIONS),
    Entry("torch-compile-cpu", "cpu", "torch", "Compiled", "torch", TORCH, OPERATIONS),
    Entry("torch-eager-mps", "mps", "torch", "EagerMps", "torch", TORCH, OPERATIONS),
    Entry("torch-eager-cuda", "cuda", "torch", "EagerCuda", "torch", TORCH, OPERATIONS),
    Entry("torch-channels-last-cuda", "cuda", "torch", "ChannelsLastCuda", "torch", TORCH, OPERATIONS),
    Entry("torch-compile-cuda", "cuda", "torch", "CompiledCuda", "torch", TORCH, OPERATIONS),
    Entry("torch-graph-cuda", "cuda", "torch", "CudaGraph", "torch", TORCH),
    Entry("jax-cpu", "cpu", "jax", "Jitted", "jax", JAX),
    Entry("jax-cuda", "cuda", "jax", "JittedGpu", "jax", "pip install 'jax[cuda13]'"),
    Entry("mlx-cpu", "cpu", "mlx", "Compiled", "mlx.core", MLX),
    Entry("mlx-mps", "mps", "mlx", "CompiledGpu", "mlx.core", MLX),
    Entry("tinygrad-cpu", "cpu", "tinygrad", "Jitted", "tinygrad", TINYGRAD),
    Entry("tinygrad-mps", "mps", "tinygrad", "JittedMetal", "tinygrad", TINYGRAD),
    Entry("tinygrad-cuda", "cuda", "tinygrad", "JittedCuda", "tinygrad", TINYGRAD),
    Entry("numpy-cpu", "cpu", "numpy", "NumpyFloor", "numpy", "pip install numpy", OPERATIONS),
)

# Runs only when asked for by name.
PLANTED = Entry("planted-wrong-cpu", "cpu", "planted", "Wrong", "numpy", "pip install numpy", OPERATIONS)


def select(peers: list[str] | None, device: str, operation: str = "step") -> list[Entry]:
    """Ours, and the peers whose names are, or begin with, one of `peers`; None means all of them.

    Only those that are timed doing `operation`.

    Raises ValueError for a name that matches nothing.
    """
    able = [entry for entry in (*CONTESTANTS, PLANTED) if operation in entry.operations]
    on_device = [entry for entry in able if device in ("all", entry.device)]
    if peers is None:
        return [entry for entry in on_device if entry is not PLANTED]
    for peer in peers:
        if not any(_matches(entry, peer) for entry in able):
            known = ", ".join(entry.name for entry in able if entry.is_peer)
            raise ValueError(
                f"--peers has {peer!r}, expected names or beginnings of names among {known} (to {operation})"
            )
    return [entry for entry in on_device if not entry.is_peer or any(_matches(entry, peer) for peer in peers)]


def _matches(entry: Entry, peer: str) -> bool:
    return entry.name == peer or entry.name.startswith(f"{peer}-")
