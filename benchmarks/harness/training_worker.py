"""One training run in a process of its own: prints its evaluations as one line of JSON.

    python -m harness.training_worker ASSIGNMENT

ASSIGNMENT is a JSON object, the arguments of `evaluations`.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mpsmnist.data import load
from mpsmnist.train import TrainConfig

from .environment import cpus_for, pin
from .worker import take_stdout


def evaluations(
    *,
    module: str,
    class_name: str,
    epochs: float,
    seed: int,
    count: int,
    threads: int,
    dataset: str,
    data_dir: str | None,
) -> list[dict[str, Any]]:
    """What a contestant reaches with the recipe of `--preset fast`, at `count` evaluations or a few more."""
    pin(cpus_for(threads))
    data = load(dataset, data_dir=Path(data_dir) if data_dir else None)
    config = TrainConfig.preset("fast", epochs=epochs, seed=seed, threads=threads, device="cpu")
    every = max(1, config.total_steps(len(data.train_images)) // count)
    contestant = getattr(importlib.import_module(f"contestants.{module}"), class_name)
    points = contestant(replace(config, eval_every=every), data).evaluations()
    return [point._asdict() for point in points]


def main(arguments: list[str]) -> None:
    """Answer with the evaluations."""
    answers = take_stdout()
    answers.write(json.dumps(evaluations(**json.loads(arguments[0]))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
