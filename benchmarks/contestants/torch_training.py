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


class TorchRun(PeerRun):
    """All images are floats in PyTorch's layout before the clock starts."""

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        super().__init__(config, dataset)
        weights = Trainer(device="cpu", seed=config.seed, init=config.init).state_dict()
        threads = config.threads or torch.get_num_threads()
        job = Job(
            dataset.train_images,
            dataset.train_labels,
            weights,
            config.learning_rate,
            threads,
            momentum=config.momentum,
        )
        self._network = ChannelsLast(job)
        self._images, self._labels = _tensors(dataset.train_images, dataset.train_labels)
        self._test = _tensors(dataset.test_images, dataset.test_labels)

    def train(self, batches: Array, rates: Array) -> None:
        """One update per row of `batches`."""
        for rows, rate in zip(torch.from_numpy(batches), rates.tolist(), strict=True):
            self._network.update_at(rate, self._images[rows], self._labels[rows])

    def accuracy(self) -> float:
        """The share of the test set that is right."""
        return self._network.evaluate(self._test)[1]


def _tensors(images: Array, labels: Array) -> Batch:
    """Floats (n, 1, 28, 28) in [0, 1] and class numbers. With one channel both layouts are the same bytes."""
    floats = images.astype(np.float32) * np.float32(PIXEL_SCALE)
    return torch.from_numpy(floats[:, None]), torch.from_numpy(labels.astype(np.int64))
