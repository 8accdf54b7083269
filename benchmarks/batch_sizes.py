"""Microseconds per image of Trainer.step for every kind of batch size: where are the cliffs?

    python benchmarks/batch_sizes.py --json batch_sizes.json --plot batch_sizes.png

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
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arguments import positive, thread_count
from environment import cpus_for, describe, headline, pin, usable_cpus
from mpsmnist import Trainer, devices
from mpsmnist.data import Dataset
from output import measure_and_save
from tables import milliseconds, print_table
from workload import INIT, LEARNING_RATE, SEED, read_dataset

SCHEMA = 1
MICROSECONDS = 1e6
EVERY_SIZE_TO = 40
POWERS = range(6, 13)  # 64 to 4096
OTHER_SIZES = (47, 53, 77, 99, 151, 201, 333, 385, 499, 777, 999, 1501, 2501, 3333)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The time of Trainer.step per image against the batch size.")
    add = parser.add_argument
    add("--max-batch", type=positive, default=4096, metavar="N", help="the largest size (default: 4096)")
    add("--threads", type=thread_count, default=len(usable_cpus()), help="(default: all CPUs)")
    add("--rounds", type=positive, default=7, help="visits of every size (default: 7)")
    add("--images", type=positive, default=256, help="a visit sees so many, or a few more (default: 256)")
    add("--device", choices=devices(), default="cpu")
    add("--dataset", default="auto", help="mnist, synthetic, ... (default: mnist where it can be had)")
    add("--data-dir", type=Path, help="a folder with the set's four files")
    add("--json", type=Path, metavar="PATH", help="the time of every visit, versions and the machine")
    add("--plot", type=Path, metavar="PATH", help="a picture: time per image against batch size")
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


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that --json saves."""
    environment = describe(options.threads)
    print(headline(environment) + "\n")
    pin(cpus_for(options.threads))
    visits = _Visits(options, read_dataset(options.dataset, options.data_dir))
    sizes = sizes_up_to(options.max_batch)
    seconds: dict[int, list[float]] = {size: [] for size in sizes}
    gc.disable()
    for number, order in enumerate(orders(sizes, options.rounds), start=1):
        print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
        for size in order:
            seconds[size].append(visits.visit(size))
    gc.enable()
    rows = summaries(seconds)
    _print(rows)
    return {
        "schema": SCHEMA,
        "kind": "batch sizes",
        "command": ["benchmarks/batch_sizes.py", *options.command],
        "environment": environment,
        "device": options.device,
        "rounds": options.rounds,
        "images": options.images,
        "sizes": [{**row, "seconds": seconds[row["batch_size"]]} for row in rows],
    }


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
        """The images and labels of a step; at the end of the data set the first follow again."""
        rows = self._order.take(range(size * number, size * (number + 1)), mode="wrap")
        return self._dataset.train_images[rows], self._dataset.train_labels[rows]


def summaries(seconds: Mapping[int, Sequence[float]]) -> list[dict[str, Any]]:
    """For each size: microseconds per image, and how many times those of the size before it they are.

    seconds: per step, one figure for each round. Low and high are the fastest and the slowest round. The
    comparison is the median of the rounds' own.
    """
    rows = []
    before: list[float] | None = None
    for size, steps in seconds.items():
        per_image = [MICROSECONDS * step / size for step in steps]
        times = [now / then for now, then in zip(per_image, before or per_image, strict=True)]
        rows.append(
            {
                "batch_size": size,
                "median": statistics.median(per_image),
                "low": min(per_image),
                "high": max(per_image),
                "times_the_size_before": statistics.median(times) if before else None,
            }
        )
        before = per_image
    return rows


def _print(rows: Sequence[dict[str, Any]]) -> None:
    print_table(
        ["batch", "us/image", "fastest - slowest", "ms/step", "times the size before"],
        [
            [
                str(row["batch_size"]),
                f"{row['median']:.1f}",
                f"{row['low']:.1f} - {row['high']:.1f}",
                milliseconds(row["median"] * row["batch_size"] / MICROSECONDS),
                "" if row["times_the_size_before"] is None else f"{row['times_the_size_before']:.2f}",
            ]
            for row in rows
        ],
    )
    print("\nMedians over rounds, and the fastest and the slowest round.")
    if len(rows) > 1:
        before, worst = max(pairwise(rows), key=lambda pair: float(pair[1]["times_the_size_before"]))
        print(
            f"The largest rise from a size to the next: {worst['times_the_size_before']:.2f} times, "
            f"from {before['batch_size']} to {worst['batch_size']}."
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    measure_and_save(parse, measure, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
