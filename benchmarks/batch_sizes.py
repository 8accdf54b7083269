"""Microseconds per image of Trainer.step for every kind of batch size: where are the cliffs?

    python benchmarks/batch_sizes.py --output batch_sizes.json --plot batch_sizes.png

Every size up to 40, then powers of two with their neighbours, and some sizes between them. A visit to a size
starts from the same weights, takes one untimed step, and then goes through the same images in the same order,
as many steps as it takes to see --images of them.

A slow minute of the machine must not look like a cliff. In a round every size has one visit, in the order of
sizes, so that neighbours meet the same machine: each is compared with the one before it within the round.
Rounds begin at random sizes and go up and down in turn, so that the next slow minute falls on others.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.arguments import add_common, positive
from harness.command import run
from harness.environment import cpus_for, pin
from harness.workload import INIT, LEARNING_RATE, SEED, read_dataset
from mpsmnist import Trainer, devices
from mpsmnist.data import Dataset

EVERY_SIZE_TO = 40
POWERS = range(6, 13)  # 64 to 4096
OTHER_SIZES = (47, 53, 77, 99, 151, 201, 333, 385, 499, 777, 999, 1501, 2501, 3333)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The time of Trainer.step per image against the batch size.")
    add = parser.add_argument
    add("--max-batch", type=positive, default=4096, metavar="N", help="the largest size (default: 4096)")
    add("--rounds", type=positive, default=7, help="visits of every size (default: 7)")
    add("--images", type=positive, default=256, help="a visit sees so many, or a few more (default: 256)")
    add("--device", choices=devices(), default="cpu")
    add_common(parser, plot="time per image against batch size")
    return parser.parse_args(arguments)


def sizes_up_to(largest: int) -> list[int]:
    """The batch sizes that are measured, in ascending order."""
    around_powers = {2**power + offset for power in POWERS for offset in (-1, 0, 1)}
    every = {*range(1, EVERY_SIZE_TO + 1), *around_powers, *OTHER_SIZES}
    return sorted(size for size in every if size <= largest)


def orders(sizes: Sequence[int], rounds: int) -> list[list[int]]:
    """For each round all of `sizes`, which ascend: up or down in turn, from a random one on."""
    starts = np.random.default_rng(SEED).integers(0, len(sizes), rounds).tolist()
    upwards = [[*sizes[start:], *sizes[:start]] for start in starts]
    return [order if number % 2 == 0 else order[::-1] for number, order in enumerate(upwards)]


def measure(options: argparse.Namespace, dataset: Dataset) -> Iterator[list[dict[str, Any]]]:
    """For every size seconds per step, one figure for each round."""
    pin(cpus_for(options.threads))
    visits = _Visits(options, dataset)
    sizes = sizes_up_to(options.max_batch)
    seconds: dict[int, list[float]] = {size: [] for size in sizes}
    gc.disable()
    for number, order in enumerate(orders(sizes, options.rounds), start=1):
        print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
        for size in order:
            seconds[size].append(visits.visit(size))
    gc.enable()
    yield [{"batch_size": size, "seconds": times} for size, times in seconds.items()]


class _Visits:
    """Measures one size at a time."""

    def __init__(self, options: argparse.Namespace, dataset: Dataset) -> None:
        self._trainer = Trainer(
            device=options.device, learning_rate=LEARNING_RATE, init=INIT, seed=SEED, threads=options.threads
        )
        self._weights = self._trainer.state_dict()
        self._images = options.images
        self._dataset = dataset
        self._order = np.random.default_rng(SEED).permutation(len(dataset.train_images))

    def visit(self, size: int) -> float:
        """Seconds per step, the median."""
        self._trainer.load_state_dict(self._weights)
        batches = [self._batch(size, number) for number in range(-(-self._images // size))]
        self._trainer.step(*batches[0])
        seconds = []
        for images, labels in batches:
            begin = time.perf_counter()
            self._trainer.step(images, labels)
            seconds.append(time.perf_counter() - begin)
        return statistics.median(seconds)

    def _batch(self, size: int, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The images and labels of a step; after the last of the dataset the first follow again."""
        rows = self._order.take(range(size * number, size * (number + 1)), mode="wrap")
        return self._dataset.train_images[rows], self._dataset.train_labels[rows]


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    options = parse(arguments)
    dataset = read_dataset(options.dataset, options.data_dir)
    settings = {
        "device": options.device,
        "rounds": options.rounds,
        "images": options.images,
        "dataset": dataset.name,
    }
    run("batch_sizes", options, arguments=arguments, settings=settings, parts=measure(options, dataset))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
