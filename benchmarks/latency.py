"""Milliseconds per training step, prediction or evaluation of the same network in several frameworks.

    python benchmarks/latency.py --batch-sizes 16 64 256 --output latency.json --plot latency.png
    python benchmarks/latency.py --batch-sizes 16 --momentum 0.9 --after-steps 2000
    python benchmarks/latency.py --operation predict --output predict.json --plot predict.png
    python benchmarks/latency.py --operation evaluate --output evaluate.json --plot evaluate.png

README.md beside this file says how it is measured.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from contestants import OPERATIONS, select
from harness import workload
from harness.arguments import add_common, positive
from harness.command import run
from harness.race import SETTLE_SECONDS, UNTIMED_STEPS, Protocol, compare
from mpsmnist.data import Dataset

BATCH_SIZES = {"step": [16, 64, 256], "predict": [16, 64, 256], "evaluate": [1000, 10000]}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Per-batch latency of mpsmnist and other frameworks.")
    add = parser.add_argument
    add("--operation", choices=OPERATIONS, default="step", help="what is timed (default: step)")
    add(
        "--batch-sizes",
        type=positive,
        nargs="+",
        metavar="N",
        help="images of a step or call (default: 16 64 256; to evaluate: 1000 10000)",
    )
    add("--rounds", type=positive, default=7, help="turns of every contestant in every mode (default: 7)")
    add("--steps", type=positive, default=60, help="at most so many steps or calls a turn (default: 60)")
    add("--turn-seconds", type=float, default=2.0, help="a turn is about this long at most (default: 2)")
    add("--momentum", type=_momentum, default=0.0, help="of everybody's updates (default: 0)")
    add(
        "--after-steps",
        type=positive,
        metavar="N",
        help="take N steps before the first round: numbers late in training are not those of its beginning",
    )
    add("--warm-up-steps", type=positive, default=20, help="at most, before the first round (default: 20)")
    add(
        "--peers",
        type=_names,
        metavar="A,B",
        help="beginnings of names, such as torch,jax; none (default: all)",
    )
    add("--device", choices=("all", "cpu", "mps", "cuda"), default="all")
    add(
        "--python",
        type=_interpreter,
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="run ours with this interpreter too, as mpsmnist-cpu@NAME: another installed version",
    )
    add("--against", metavar="CONTESTANT", help="what ratios are to (default: the fastest peer)")
    add_common(parser, plot="latency against batch size")
    options = parser.parse_args(arguments)
    try:
        options.entries = select(options.peers, options.device, options.operation, dict(options.python))
    except ValueError as error:
        parser.error(str(error))
    if options.operation != "step" and (options.momentum or options.after_steps):
        parser.error("--momentum and --after-steps are of steps: they go with --operation step")
    names = [entry.name for entry in options.entries]
    if options.against is not None and options.against not in names:
        parser.error(f"--against is {options.against!r}, expected one of {', '.join(names)}")
    options.batch_sizes = options.batch_sizes or BATCH_SIZES[options.operation]
    return options


def settings(options: argparse.Namespace, dataset: Dataset) -> dict[str, Any]:
    """What the figures depend on, apart from the machine."""
    return {
        "operation": options.operation,
        "against": options.against,
        "rounds": options.rounds,
        "steps": options.steps,
        "turn_seconds": options.turn_seconds,
        "untimed_steps_per_turn": UNTIMED_STEPS,
        "settle_seconds": SETTLE_SECONDS,
        "checked_steps": workload.CHECKED_STEPS,
        "dataset": dataset.name,
        "init": workload.INIT,
        "seed": workload.SEED,
        "learning_rate": workload.LEARNING_RATE,
        "momentum": options.momentum,
        "after_steps": options.after_steps,
        "trained_steps": 0 if options.operation == "step" else workload.TRAINED_STEPS,
    }


def measure(options: argparse.Namespace, dataset: Dataset) -> Iterator[list[dict[str, Any]]]:
    """The reports of all contestants, one batch size after the other."""
    late = options.after_steps is not None
    protocol = Protocol(
        threads=options.threads,
        rounds=options.rounds,
        steps=options.steps,
        turn_seconds=options.turn_seconds,
        warm_up_steps=options.after_steps if late else options.warm_up_steps,
        warm_up_seconds=math.inf if late else options.turn_seconds,
    )
    batch_count = workload.BATCHES + (
        options.after_steps or 0
    )  # few batches again and again would be learnt by heart
    with tempfile.TemporaryDirectory() as scratch:
        for batch_size in options.batch_sizes:
            _progress(f"batch {batch_size}: asking the oracle")
            work = workload.make(
                dataset,
                options.operation,
                batch_size,
                Path(scratch) / str(batch_size),
                momentum=options.momentum,
                batch_count=batch_count,
            )
            reports = compare(options.entries, work, protocol, say=_progress)
            yield [
                {
                    "batch_size": batch_size,
                    "tolerance": work.tolerance,
                    "contestants": [report.as_json() for report in reports],
                }
            ]


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 when a contestant was wrong or failed, so that nobody overlooks it."""
    options = parse(arguments)
    dataset = workload.read_dataset(options.dataset, options.data_dir)
    summary = run(
        "latency",
        options,
        arguments=arguments,
        settings=settings(options, dataset),
        parts=measure(options, dataset),
        distributions=dict.fromkeys(name for entry in options.entries for name in entry.distributions),
    )
    return 1 if {row["status"] for row in summary["contestants"]} & {"wrong", "failed"} else 0


def _momentum(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"is {text}, expected at least 0 and less than 1")
    return value


def _names(text: str) -> list[str]:
    return [] if text == "none" else [name.strip() for name in text.split(",") if name.strip()]


def _interpreter(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if not name or not os.access(path, os.X_OK) or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"is {text!r}, expected NAME=PATH of a Python interpreter")
    return name, path


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
