"""What training on several ranks costs: the time of a step by their number, over MPI on this machine.

    python benchmarks/ranks.py --ranks 1 2 4 8 --rank-threads 2 --batch-size 64

The ways to make a step take turns in each round, and so do the numbers of ranks:

- "alone": each rank trains by itself, all at once: what the machine's memory and clock leave to each.
- "gradients": the same with an all_reduce that does nothing: taking the gradients out of a step.
- "summed after": the gradients are added up when all are computed.
- "summed meanwhile": while the convolutions' backward pass runs.
- "factors": the same, but for fc0's gradient, which is made from its gathered factors.

`train --distributed` takes one of the last two, by the rule in mpsmnist/training/traffic.py. Beside the times
are the bytes that a rank sends in a step, counted in what is summed and gathered, as if in a ring.

The efficiency is a rank's speed, in images per second, over that of one rank that trains alone, in the same
round: with --global-batch-size on all images of the batch, of which several ranks have a share each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from harness.arguments import add_common, positive
from harness.command import run
from harness.environment import BENCHMARKS

# The one beside this Python first, as its mpi4py belongs to it.
MPIRUN = shutil.which("mpirun", path=os.path.dirname(sys.executable)) or shutil.which("mpirun")
# Containers run as root, which Open MPI refuses unless it is told otherwise.
PERMISSIONS = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What training on several ranks costs.")
    add = parser.add_argument
    add("--ranks", type=positive, nargs="+", default=[1, 2], metavar="N")
    add("--rank-threads", type=positive, default=1, help="of each rank (default: 1)")
    add("--batch-size", type=positive, default=64, help="of each rank (default: 64)")
    add("--global-batch-size", type=positive, help="of all ranks together, instead of --batch-size")
    add("--rounds", type=positive, default=5, help="numbers of ranks take turns so many times (default: 5)")
    add("--steps", type=positive, default=20, help="steps in a turn (default: 20)")
    add_common(parser)
    options = parser.parse_args(arguments)
    if 1 not in options.ranks:
        parser.error("--ranks: expected 1 among them, which the others are compared with")
    if MPIRUN is None:
        parser.error("there is no mpirun: pip install '.[mpi]'")
    return options


def measure(options: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    """For each number of ranks the seconds of a step, by way: one figure a round; and a rank's bytes."""
    measured = [
        {"ranks": count, "batch_size": _batch_size(options, count), "seconds": {}, "bytes": {}}
        for count in options.ranks
    ]
    for _ in range(options.rounds):
        for each in measured:
            for way, found in _round(options, each["ranks"], each["batch_size"]).items():
                each["seconds"].setdefault(way, []).append(found["seconds"])
                each["bytes"][way] = found["bytes"]
    yield measured


def _batch_size(options: argparse.Namespace, ranks: int) -> int:
    return options.batch_size if options.global_batch_size is None else options.global_batch_size // ranks


def _round(options: argparse.Namespace, ranks: int, batch_size: int) -> dict[str, dict[str, float]]:
    task = {
        "dataset": options.dataset,
        "data_dir": None if options.data_dir is None else str(options.data_dir.resolve()),  # seen from there
        "threads": options.rank_threads,
        "batch_size": batch_size,
        "steps": options.steps,
    }
    worker = [sys.executable, "-m", "harness.rank_worker", json.dumps(task)]
    done = subprocess.run(
        [str(MPIRUN), "--bind-to", "none", "-n", str(ranks), *worker],
        cwd=BENCHMARKS,
        env=os.environ | PERMISSIONS,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    options = parse(arguments)
    names = ("rank_threads", "batch_size", "global_batch_size", "rounds", "steps")
    settings = {name: getattr(options, name) for name in names}
    run(
        "ranks",
        options,
        arguments=arguments,
        settings=settings,
        parts=measure(options),
        distributions=("mpsmnist", "numpy", "mpi4py", "openmpi"),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
