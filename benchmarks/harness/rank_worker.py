"""One rank of ranks.py: makes steps in several ways, in turn; rank 0 prints the seconds of each as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from harness.workload import INIT, LEARNING_RATE, SEED, read_dataset
from mpsmnist import Trainer
from mpsmnist.training.mpi import connect

WARM_UP = 3  # steps of each way


class Late:
    """Adds a part up when all gradients are computed."""

    def __init__(self, part: Any, all_reduce: Callable[[Any], Any]) -> None:
        self._begin = partial(all_reduce, part)

    def wait(self) -> None:
        """Do so now."""
        self._begin().wait()


def ways(trainer: Trainer, batch: Any, all_reduce: Callable[[Any], Any], size: int) -> dict[str, Any]:
    """By name; a call of each is a step of all ranks."""
    return {
        "alone": lambda: trainer.step(*batch),
        "gradients": lambda: trainer.step(*batch, all_reduce=lambda _part: None),
        "summed after": lambda: trainer.step(
            *batch, all_reduce=lambda part: Late(part, all_reduce), global_batch_size=size
        ),
        "summed meanwhile": lambda: trainer.step(*batch, all_reduce=all_reduce, global_batch_size=size),
    }


def main(task: dict[str, Any]) -> None:
    """Make the steps that `task` asks for."""
    ranks = connect()
    dataset = read_dataset(task["dataset"], task["data_dir"])
    count = task["batch_size"]  # of each rank, which has images of its own
    rows = slice(ranks.rank * count, (ranks.rank + 1) * count)
    batch = dataset.train_images[rows], dataset.train_labels[rows]
    trainer = Trainer(
        device="cpu",
        learning_rate=LEARNING_RATE,
        momentum=0.9,
        init=INIT,
        seed=SEED,
        threads=task["threads"],
    )
    seconds = {}
    for name, step in ways(trainer, batch, ranks.all_reduce, count * ranks.size).items():
        for _ in range(WARM_UP):
            step()
        ranks.any(False)  # they begin together
        begin = time.perf_counter()
        for _ in range(task["steps"]):
            step()
        ranks.any(False)
        seconds[name] = (time.perf_counter() - begin) / task["steps"]
    if ranks.is_first:
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
