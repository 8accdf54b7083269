"""PyTorch training a whole run, eager in channels_last: momentum, a learning rate per step, evaluation."""

from __future__ import annotations

import numpy as np
import torch

from mpsmnist import Trainer
from mpsmnist.data import Dataset
from mpsmnist.train import TrainConfig

from .base import PIXEL_SCALE, Array, Job
from .torch import Batch, ChannelsLast
from .training import PeerRun

PEER = {
    "imports": "torch",
    "install": "pip install torch",
    "distributions": ("torch",),
    "operations": ("train",),
    "forms": {"torch": {"device": "cpu", "class_name": "TorchRun"}},
}


class MomentumNetwork(ChannelsLast):
    """The network of latency.py with momentum."""

    def __init__(self, job: Job, momentum: float) -> None:
        super().__init__(job)
        self._momentum = momentum
        self._velocity = [torch.zeros_like(parameter) for parameter in self._parameters]

    def update(self, images: torch.Tensor, labels: torch.Tensor, rate: float) -> None:
        """One step of SGD."""
        _, gradients = self._loss_and_gradients(images, labels)
        with torch.no_grad():
            torch._foreach_mul_(self._velocity, self._momentum)
            torch._foreach_add_(self._velocity, gradients)
            torch._foreach_add_(self._parameters, self._velocity, alpha=-rate)


class TorchRun(PeerRun):
    """All images are floats in PyTorch's layout before the clock starts."""

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        super().__init__(config, dataset)
        weights = Trainer(device="cpu", seed=config.seed, init=config.init).state_dict()
        threads = config.threads or torch.get_num_threads()
        job = Job(dataset.train_images, dataset.train_labels, weights, config.learning_rate, threads)
        self._network = MomentumNetwork(job, config.momentum)
        self._images, self._labels = _tensors(dataset.train_images, dataset.train_labels)
        self._test = _tensors(dataset.test_images, dataset.test_labels)

    def train(self, batches: Array, rates: Array) -> None:
        """One update per row of `batches`."""
        for rows, rate in zip(torch.from_numpy(batches), rates.tolist(), strict=True):
            self._network.update(self._images[rows], self._labels[rows], rate)

    def accuracy(self) -> float:
        """The share of the test set that is right."""
        return self._network.evaluate(self._test)[1]


def _tensors(images: Array, labels: Array) -> Batch:
    """Floats (n, 1, 28, 28) in [0, 1] and class numbers. With one channel both layouts are the same bytes."""
    floats = images.astype(np.float32) * np.float32(PIXEL_SCALE)
    return torch.from_numpy(floats[:, None]), torch.from_numpy(labels.astype(np.int64))
