"""One rank of ranks.py: makes steps in several ways, in turn; rank 0 prints the figures of each as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from harness.workload import INIT, LEARNING_RATE, SEED, read_dataset
from mpsmnist import Trainer
from mpsmnist.training.mpi import MpiRanks, connect

WARM_UP = 3  # steps of each way


class Late:
    """Adds a part up when all gradients are computed."""

    def __init__(self, part: Any, all_reduce: Callable[[Any], Any]) -> None:
        self._begin = partial(all_reduce, part)

    def wait(self) -> None:
        """Do so now."""
        self._begin().wait()


class Counted:
    """The exchanges of some ranks, with the bytes that each rank sends for them in a ring."""

    def __init__(self, ranks: MpiRanks, batch_size: int) -> None:
        self.bytes = 0.0
        self._ranks = ranks
        self._gather = ranks.gatherer(batch_size)

    def all_reduce(self, part: Any) -> Any:
        """Begin to add the part up: each of `size` pieces of it goes round twice."""
        self.bytes += 2 * part.nbytes * (self._ranks.size - 1) / self._ranks.size
        return self._ranks.all_reduce(part)

    def all_gather(self, rows: Any) -> Any:
        """Begin to gather the rows: each rank passes on all but one rank's, which are as many everywhere."""
        self.bytes += rows.nbytes * (self._ranks.size - 1)
        return self._gather(rows)


def ways(trainer: Trainer, batch: Any, exchange: Counted, size: int) -> dict[str, Any]:
    """By name; a call of each is a step of all ranks."""
    all_reduce, all_gather = exchange.all_reduce, exchange.all_gather
    return {
        "alone": lambda: trainer.step(*batch),
        "gradients": lambda: trainer.step(*batch, all_reduce=lambda _part: None),
        "summed after": lambda: trainer.step(
            *batch, all_reduce=lambda part: Late(part, all_reduce), global_batch_size=size
        ),
        "summed meanwhile": lambda: trainer.step(*batch, all_reduce=all_reduce, global_batch_size=size),
        "factors": lambda: trainer.step(
            *batch, all_reduce=all_reduce, all_gather=all_gather, global_batch_size=size
        ),
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
    found = {}
    exchange = Counted(ranks, count * ranks.size)
    for name, step in ways(trainer, batch, exchange, count * ranks.size).items():
        for _ in range(WARM_UP):
            step()
        exchange.bytes = 0
        ranks.any(False)  # they begin together
        begin = time.perf_counter()
        for _ in range(task["steps"]):
            step()
        ranks.any(False)
        seconds = time.perf_counter() - begin
        found[name] = {"seconds": seconds / task["steps"], "bytes": exchange.bytes / task["steps"]}
    if ranks.is_first:
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
