"""One training run in a process of its own: prints its evaluations as one JSON line.

    python -m harness.training_worker mpsmnist|torch EPOCHS SEED EVALUATIONS THREADS DATASET DATA_DIR

Everything that the recipe says is the same for both: initial weights, batches, learning rates, momentum, and
the steps after which the test set is evaluated. Seconds are those of training, without evaluation.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mpsmnist.data import Dataset, load
from mpsmnist.sampling import Sampler
from mpsmnist.schedule import evaluation_steps, learning_rates
from mpsmnist.train import TrainConfig, train

from .environment import cpus_for, pin
from .worker import take_stdout


class Point(NamedTuple):
    """An evaluation: after so many steps and seconds of training."""

    step: int
    seconds: float
    accuracy: float


def recipe(epochs: float, seed: int, evaluations: int, threads: int, train_images: int) -> TrainConfig:
    """The options of `--preset fast`, on the CPU, for so many epochs."""
    config = TrainConfig.preset("fast", epochs=epochs, seed=seed, threads=threads, device="cpu")
    every = max(1, config.total_steps(train_images) // evaluations)
    return replace(config, eval_every=every)


def run_mpsmnist(config: TrainConfig, dataset: Dataset) -> list[Point]:
    """The package's own training loop. Its seconds hold drawing and gathering of the batches too."""
    result = train(config, dataset=dataset)
    return [Point(event.step, event.train_seconds, event.accuracy) for event in result.evaluations]


def run_torch(config: TrainConfig, dataset: Dataset) -> list[Point]:
    """PyTorch eager in channels_last. Its images are floats in its layout before the clock starts."""
    from contestants.torch_training import TorchTraining  # noqa: PLC0415 (only this run needs PyTorch)

    network = TorchTraining(config, dataset)
    total = config.total_steps(len(dataset.train_images))
    sampler = Sampler(
        config.sampling, size=len(dataset.train_images), batch_size=config.batch_size, seed=config.seed
    )
    points: list[Point] = []
    step, seconds = 0, 0.0
    for halt in evaluation_steps(config.schedule, total, config.eval_every, has_target=False):
        begin = time.perf_counter()
        batches = sampler.batches(step, halt - step)
        rates = learning_rates(
            config.schedule, config.learning_rate, first=step, count=halt - step, total=total
        )
        network.train(batches, rates)
        seconds += time.perf_counter() - begin
        step = halt
        points.append(Point(step, seconds, network.accuracy()))
    return points


RUNS = {"mpsmnist": run_mpsmnist, "torch": run_torch}


def main(arguments: list[str]) -> None:
    name, epochs, seed, evaluations, threads, dataset_name, data_dir = arguments
    answers = take_stdout()
    pin(cpus_for(int(threads)))
    dataset = load(dataset_name, data_dir=Path(data_dir) if data_dir else None)
    config = recipe(float(epochs), int(seed), int(evaluations), int(threads), len(dataset.train_images))
    points = RUNS[name](config, dataset)
    answer: dict[str, Any] = {"dataset": dataset.name, "evaluations": [point._asdict() for point in points]}
    answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
