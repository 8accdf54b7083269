"""PyTorch: eager in both layouts, torch.compile, and CUDA graphs."""

# ruff: noqa: D101, D102 (Contestant describes the methods, and the names say what the subclasses are)

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from .base import INFERENCE_CHUNK, Array, Job, Mode, Predictor, UnavailableError, Weights, gather

PEER = {
    "imports": "torch",
    "install": "pip install torch",
    "distributions": ("torch",),
    "operations": ("step", "predict", "evaluate"),
    "forms": {
        "torch-eager-cpu": {"device": "cpu", "class_name": "Eager"},
        "torch-channels-last-cpu": {"device": "cpu", "class_name": "ChannelsLast"},
        "torch-compile-cpu": {"device": "cpu", "class_name": "Compiled"},
        "torch-flush-denormals-cpu": {
            "device": "cpu",
            "class_name": "FlushDenormals",
            "operations": ("step",),
            "only_by_name": True,
        },
        "torch-eager-mps": {"device": "mps", "class_name": "EagerMps"},
        "torch-eager-cuda": {"device": "cuda", "class_name": "EagerCuda"},
        "torch-channels-last-cuda": {"device": "cuda", "class_name": "ChannelsLastCuda"},
        "torch-compile-cuda": {"device": "cuda", "class_name": "CompiledCuda"},
        "torch-graph-cuda": {"device": "cuda", "class_name": "CudaGraph", "operations": ("step",)},
    },
}

Batch = tuple[torch.Tensor, torch.Tensor]
WARM_UP_BEFORE_CAPTURE = 3


def require(device: str) -> None:
    """Raises UnavailableError where PyTorch has no such device; makes fp32 mean fp32 where it has."""
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[device]:
        raise UnavailableError(f"PyTorch {torch.__version__} finds no {device} device here")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False  # otherwise convolutions round their inputs to 10 bits


class Eager(Predictor):
    """NCHW. The update is one in-place call over all parameters, which SGD(foreach=True) makes too."""

    device: ClassVar[str] = "cpu"
    channels_last: ClassVar[bool] = False

    def __init__(self, job: Job) -> None:
        require(self.device)
        torch.set_num_threads(job.threads)
        self._job = job
        self._parameters = [
            self._placed(value).requires_grad_() for value in self._converted(job.weights).values()
        ]
        self._velocity = [torch.zeros_like(parameter) for parameter in self._parameters if job.momentum > 0]
        self._forward = self._compiled()

    def load(self, weights: Weights) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._parameters, self._converted(weights).values(), strict=True):
                parameter.copy_(value)
            for velocity in self._velocity:
                velocity.zero_()

    def prepare(self, rows: Array) -> Batch:
        images, labels = gather(self._job, rows)
        nchw = torch.from_numpy(images).permute(0, 3, 1, 2)
        return self._placed(nchw), torch.from_numpy(labels.astype(np.int64)).to(self.device)

    def step(self, batch: Any) -> float:
        return float(self._update(*batch).item())

    def predict(self, batch: Any) -> Array:
        images, _ = batch
        with torch.inference_mode():
            probabilities: Array = self._logits_in_chunks(images).softmax(1).cpu().numpy()
        return probabilities

    def evaluate(self, batch: Any) -> tuple[float, float]:
        images, labels = batch
        with torch.inference_mode():
            logits = self._logits_in_chunks(images)
            loss = functional.cross_entropy(logits, labels).item()
            correct = (logits.argmax(1) == labels).sum().item()
        return float(loss), correct / len(labels)

    def throughput_modes(self) -> dict[str, Mode]:
        return {"queued": Mode(self.prepare, self._queued)}

    def _queued(self, batches: Sequence[Any]) -> Array:
        losses: Array = torch.stack([self._update(*batch) for batch in batches]).cpu().numpy()
        return losses

    def _update(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.update_at(self._job.learning_rate, images, labels)

    def update_at(self, rate: float, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One step of SGD; the loss before it."""
        loss, gradients = self._loss_and_gradients(images, labels)
        with torch.no_grad():
            if self._velocity:
                torch._foreach_mul_(self._velocity, self._job.momentum)
                torch._foreach_add_(self._velocity, gradients)
            torch._foreach_add_(self._parameters, self._velocity or gradients, alpha=-rate)
        return loss

    def _loss_and_gradients(
        self, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        loss = functional.cross_entropy(self._forward(images), labels)
        return loss.detach(), torch.autograd.grad(loss, self._parameters)

    def _logits_in_chunks(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._forward(chunk) for chunk in torch.split(images, INFERENCE_CHUNK)])

    def _compiled(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return self._logits

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        conv0, bias0, conv1, bias1, fc0, bias2, fc1, bias3 = self._parameters
        x = functional.max_pool2d(functional.relu(functional.conv2d(images, conv0, bias0, padding=2)), 2)
        x = functional.max_pool2d(functional.relu(functional.conv2d(x, conv1, bias1, padding=2)), 2)
        flat = (x.permute(0, 2, 3, 1) if self.channels_last else x).reshape(len(images), -1)
        return functional.linear(functional.relu(functional.linear(flat, fc0, bias2)), fc1, bias3)

    def _converted(self, weights: Weights) -> dict[str, torch.Tensor]:
        """PyTorch's layouts: OIHW, and (out, in) with fc0's inputs in the order that the pool leaves them."""
        tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in weights.items()}
        for name in ("conv0.weight", "conv1.weight"):
            tensors[name] = tensors[name].permute(3, 2, 0, 1)
        fc0 = tensors["fc0.weight"]
        if not self.channels_last:
            fc0 = fc0.reshape(7, 7, 64, -1).permute(2, 0, 1, 3).reshape(7 * 7 * 64, -1)
        tensors["fc0.weight"], tensors["fc1.weight"] = fc0.T, tensors["fc1.weight"].T
        return tensors

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy on the device, in the memory format of this contestant."""
        four = tensor.ndim == 4 and self.channels_last
        layout = torch.channels_last if four else torch.contiguous_format
        return tensor.to(self.device).clone(memory_format=layout)


class ChannelsLast(Eager):
    channels_last = True


class FlushDenormals(ChannelsLast):
    """With torch.set_flush_denormal, which few know of: late in training it matters on Intel's processors."""

    def __init__(self, job: Job) -> None:
        torch.set_flush_denormal(True)  # before there are other threads: they start with this one's mode
        super().__init__(job)


class Compiled(Eager):
    """torch.compile of the forward and backward pass; loss and update stay calls of their own."""

    def _compiled(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return torch.compile(self._logits, fullgraph=True, dynamic=False)


class EagerMps(Eager):
    device = "mps"


class EagerCuda(Eager):
    device = "cuda"


class ChannelsLastCuda(ChannelsLast):
    device = "cuda"


class CompiledCuda(Compiled):
    device = "cuda"


class CudaGraph(ChannelsLast):
    """The whole step, captured once and replayed; batches are copied into its input buffers."""

    device = "cuda"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._graph: torch.cuda.CUDAGraph | None = None

    def _update(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self._graph is None:
            self._capture(images, labels)
        assert self._graph is not None
        self._images.copy_(images)
        self._labels.copy_(labels)
        self._graph.replay()
        return self._loss.clone()

    def _capture(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Captures one step, and puts weights and velocities back as they were before the first."""
        self._images, self._labels = images.clone(), labels.clone()
        before = [parameter.detach().clone() for parameter in self._parameters]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_BEFORE_CAPTURE):
                super()._update(self._images, self._labels)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = super()._update(self._images, self._labels)
        with torch.no_grad():
            for parameter, value in zip(self._parameters, before, strict=True):
                parameter.copy_(value)
            for velocity in self._velocity:
                velocity.zero_()
