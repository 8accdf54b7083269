"""What a contestant of time_to_accuracy.py is: a whole training run with one recipe, on the CPU."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import NamedTuple

from mpsmnist.data import Dataset
from mpsmnist.train import TrainConfig
from mpsmnist.training.sampling import Sampler
from mpsmnist.training.schedule import learning_rates

from .base import Array


class Point(NamedTuple):
    """An evaluation: after so many steps and seconds of training."""

    step: int
    seconds: float
    accuracy: float


class TrainingRun(ABC):
    """One run. The constructor builds the network; weights start where a Trainer of the same seed starts."""

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        self._config = config
        self._dataset = dataset

    @abstractmethod
    def evaluations(self) -> list[Point]:
        """Train, and evaluate the test set every `config.eval_every` steps."""


class PeerRun(TrainingRun):
    """A run of another framework: it is given the same batches and learning rates as ours.

    Its seconds are those of drawing batches and of `train`.
    """

    @abstractmethod
    def train(self, batches: Array, rates: Array) -> None:
        """One update per row of `batches`, which are rows of the training set; waits for the last."""

    @abstractmethod
    def accuracy(self) -> float:
        """The share of the test set that is right."""

    def evaluations(self) -> list[Point]:
        """Train from evaluation to evaluation."""
        config, images = self._config, len(self._dataset.train_images)
        total = config.total_steps(images)
        sampler = Sampler(config.sampling, size=images, batch_size=config.batch_size, seed=config.seed)
        points: list[Point] = []
        step, seconds = 0, 0.0
        for halt in config.evaluation_plan(images):
            begin = time.perf_counter()
            batches = sampler.batches(step, halt - step)
            rates = learning_rates(
                config.schedule, config.learning_rate, first=step, count=halt - step, total=total
            )
            self.train(batches, rates)
            seconds += time.perf_counter() - begin
            step = halt
            points.append(Point(step, seconds, self.accuracy()))
        return points
