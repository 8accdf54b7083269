"""PyTorch training a whole run: momentum, a learning rate per step, and evaluation."""

from __future__ import annotations

import numpy as np
import torch

from mpsmnist import Trainer
from mpsmnist.data import Dataset
from mpsmnist.train import TrainConfig

from .base import PIXEL_SCALE, Array, Job
from .torch import ChannelsLast


class TorchTraining(ChannelsLast):
    """The weights start where a Trainer of the same seed starts."""

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        weights = Trainer(device="cpu", seed=config.seed, init=config.init).state_dict()
        threads = config.threads or torch.get_num_threads()
        super().__init__(
            Job(dataset.train_images, dataset.train_labels, weights, config.learning_rate, threads)
        )
        self._momentum = config.momentum
        self._velocity = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._images, self._labels = _tensors(dataset.train_images, dataset.train_labels)
        self._test = _tensors(dataset.test_images, dataset.test_labels)

    def train(self, batches: Array, rates: Array) -> None:
        """One update per row of `batches`."""
        for rows, rate in zip(torch.from_numpy(batches), rates.tolist(), strict=True):
            _, gradients = self._loss_and_gradients(self._images[rows], self._labels[rows])
            with torch.no_grad():
                torch._foreach_mul_(self._velocity, self._momentum)
                torch._foreach_add_(self._velocity, gradients)
                torch._foreach_add_(self._parameters, self._velocity, alpha=-rate)

    def accuracy(self) -> float:
        """The share of the test set that is right."""
        return self.evaluate(self._test)[1]


def _tensors(images: Array, labels: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Floats (n, 1, 28, 28) in [0, 1] and class numbers. With one channel both layouts are the same bytes."""
    floats = images.astype(np.float32) * np.float32(PIXEL_SCALE)
    return torch.from_numpy(floats[:, None]), torch.from_numpy(labels.astype(np.int64))
