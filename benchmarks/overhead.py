"""Where the time of Trainer.step goes in our own stack, per batch size: Python call, checks, native core.

    python benchmarks/overhead.py --batch-sizes 1 16 64 256

Calls that go part of the way show the parts:

- "call": `synchronize()` with nothing to wait for: a Python call into the core and back.
- "refused": a `step` that is refused for its very last label: taking the arrays, checking every value, and a
  Python exception. An upper bound for what arrays and checks cost.
- "native": `run` of many steps, per step: the core alone, with its own gathering of the images.
- "step" and "step, float32": the whole call, with bytes and with floats.
- "augment": `augment` of the images of as many steps, per step, with as many threads as the Trainer.
- "augmented": the same, and then the steps on them, as the training loop does with --augmentation distort.

`step - native` is what Python costs, conversion and checks included; `augmented / native` is what
augmentation adds.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from harness.arguments import add_common, positive
from harness.command import run
from harness.environment import cpus_for, pin
from harness.workload import INIT, LEARNING_RATE, SEED, read_dataset
from mpsmnist import Trainer, augment, devices
from mpsmnist.data import Dataset

CHEAP_CALLS = 200


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What Trainer.step costs apart from its arithmetic.")
    add = parser.add_argument
    add("--batch-sizes", type=positive, nargs="+", default=[1, 16, 64, 256], metavar="N")
    add("--rounds", type=positive, default=9, help="the parts take turns so many times (default: 9)")
    add("--steps", type=positive, default=40, help="steps in a turn (default: 40)")
    add("--device", choices=devices(), default="cpu")
    add_common(parser)
    return parser.parse_args(arguments)


def parts(trainer: Trainer, images: Any, labels: Any, batches: Any) -> dict[str, Callable[[], float]]:
    """Ways to spend a turn; each returns seconds per call or step."""
    byte_images, some_labels = images[batches[0]], labels[batches[0]]
    floats = byte_images.astype(np.float32) / np.float32(255)
    bad = some_labels.copy()
    bad[-1] = 255

    def distorted() -> tuple[Any, Any, Any]:
        rows = batches.ravel()
        drawn = augment(images[rows], seed=SEED, threads=trainer.threads)
        return drawn, labels[rows], np.arange(rows.size).reshape(batches.shape)

    def per_step(turn: Callable[[], object]) -> float:
        begin = time.perf_counter()
        turn()
        return (time.perf_counter() - begin) / len(batches)

    return {
        "call": lambda: _per_call(trainer.synchronize, CHEAP_CALLS),
        "refused": lambda: _per_call(lambda: _refused(trainer, byte_images, bad), CHEAP_CALLS),
        "native": lambda: per_step(lambda: trainer.run(images, labels, batches)),
        "step": lambda: _per_call(lambda: trainer.step(byte_images, some_labels), len(batches)),
        "step, float32": lambda: _per_call(lambda: trainer.step(floats, some_labels), len(batches)),
        "augment": lambda: per_step(distorted),
        "augmented": lambda: per_step(lambda: trainer.run(*distorted())),
    }


def measure(options: argparse.Namespace, dataset: Dataset) -> Iterator[list[dict[str, Any]]]:
    """The seconds of every part at every batch size."""
    pin(cpus_for(options.threads))
    yield [_measure_batch(options, dataset, batch_size) for batch_size in options.batch_sizes]


def _measure_batch(options: argparse.Namespace, dataset: Dataset, batch_size: int) -> dict[str, Any]:
    """Seconds per part: one figure a round."""
    trainer = Trainer(
        device=options.device, learning_rate=LEARNING_RATE, init=INIT, seed=SEED, threads=options.threads
    )
    rows = np.random.default_rng(SEED).integers(0, len(dataset.train_images), batch_size)
    batches = np.tile(rows, (options.steps, 1))  # one batch again and again: equal work in every part
    turns = parts(trainer, dataset.train_images, dataset.train_labels, batches)
    turns["native"]()  # warm-up
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    gc.disable()
    for _ in range(options.rounds):
        for name, turn in turns.items():
            seconds[name].append(turn())
    gc.enable()
    return {"batch_size": batch_size, "seconds": seconds}


def _per_call(call: Callable[[], object], count: int) -> float:
    """The median: one call that the system interrupts says nothing about the others."""
    seconds = []
    for _ in range(count):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def _refused(trainer: Trainer, images: Any, labels: Any) -> None:
    try:
        trainer.step(images, labels)
    except (TypeError, ValueError):
        return
    raise AssertionError("a step with a bad label was taken")


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    options = parse(arguments)
    dataset = read_dataset(options.dataset, options.data_dir)
    settings = {
        "device": options.device,
        "rounds": options.rounds,
        "steps": options.steps,
        "dataset": dataset.name,
    }
    run("overhead", options, arguments=arguments, settings=settings, parts=measure(options, dataset))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
