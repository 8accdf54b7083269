"""Saves checkpoints in forked children that are killed at random times; a program of test_checkpoint.py.

    python tests/support/saver.py FOLDER KILLS

Prints a line of JSON: how many kills left a half-written temporary file behind, the steps
that were read then, and the files that are left in the end.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from mpsmnist.checkpoint import Checkpoint, load, parameter_shapes, save
from mpsmnist.data.sources import DIGITS
from mpsmnist.training.config import TrainConfig


def checkpoint_of(step: int) -> Checkpoint:
    """Make a checkpoint whose every weight is `step`."""
    state = {name: np.full(shape, step, np.float32) for name, shape in parameter_shapes(10).items()}
    return Checkpoint(
        state=state,
        options=TrainConfig().saved_options(),
        step=step,
        total_steps=1_000_000,
        classes=DIGITS,
        dataset="discs",
        fingerprint="0",
    )


def save_for_ever(path: Path, first: int) -> None:
    step = first
    while True:
        save(path, checkpoint_of(step))
        step += 1


def main(folder: Path, kills: int) -> None:
    path = folder / "run.safetensors"
    begin = time.perf_counter()
    save(path, checkpoint_of(0))
    longest = min(0.2, 3 * (time.perf_counter() - begin))  # a child lives: enough to finish a save or two
    moments = random.Random(0)
    torn, steps = 0, [0]
    # On a busy machine a child may save nothing in that time: then more kills are needed.
    while len(steps) <= kills or steps[-1] == 0:
        child = os.fork()
        if child == 0:
            save_for_ever(path, steps[-1] + 1)
        time.sleep(moments.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        leftovers = list(folder.glob(".mpsmnist.*.tmp"))
        torn += len(leftovers) > 0
        for leftover in leftovers:
            os.utime(leftover, (0, 0))  # as if hours went by: then the next save removes it
        read = load(path)
        assert all((tensor == read.step).all() for tensor in read.state.values()), "two saves are mixed"
        steps.append(read.step)
    save(path, checkpoint_of(steps[-1] + 1))
    print(json.dumps({"torn": torn, "steps": steps, "files": sorted(os.listdir(folder))}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
