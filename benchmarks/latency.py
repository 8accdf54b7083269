"""Milliseconds per training step, prediction or evaluation of the same network in several frameworks.

    python benchmarks/latency.py --batch-sizes 16 64 256 --json latency.json --plot latency.png
    python benchmarks/latency.py --operation predict --json predict.json --plot predict.png
    python benchmarks/latency.py --operation evaluate --json evaluate.json --plot evaluate.png

README.md beside this file says how it is measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import workload
from arguments import positive, thread_count
from contestants import OPERATIONS, select
from environment import describe, headline, usable_cpus
from estimates import Rounds, ratios_to_fastest, summarise
from harness import SHOWN_ANSWERS, UNTIMED_STEPS, Protocol, Report, compare
from output import measure_and_save
from tables import print_batch

SCHEMA = 2
BATCH_SIZES = {"step": [16, 64, 256], "predict": [16, 64, 256], "evaluate": [1000, 10000]}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
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
    add("--threads", type=thread_count, default=len(usable_cpus()), help="of everybody (default: all CPUs)")
    add("--rounds", type=positive, default=7, help="turns of every contestant in every mode (default: 7)")
    add("--steps", type=positive, default=60, help="at most so many steps or calls a turn (default: 60)")
    add("--turn-seconds", type=float, default=2.0, help="a turn is about this long at most (default: 2)")
    add("--warm-up-steps", type=positive, default=20, help="at most, before the first round (default: 20)")
    add("--peers", type=_names, metavar="A,B", help="beginnings of names, such as torch,jax (default: all)")
    add("--device", choices=("all", "cpu", "mps", "cuda"), default="all")
    add("--dataset", default="auto", help="mnist, synthetic, ... (default: mnist where it can be had)")
    add("--data-dir", type=Path, help="a folder with the set's four files")
    add("--json", type=Path, metavar="PATH", help="raw times, versions and the machine")
    add("--plot", type=Path, metavar="PATH", help="a picture: latency against batch size")
    options = parser.parse_args(arguments)
    try:
        options.entries = select(options.peers, options.device, options.operation)
    except ValueError as error:
        parser.error(str(error))
    options.batch_sizes = options.batch_sizes or BATCH_SIZES[options.operation]
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that --json saves."""
    protocol = Protocol(
        threads=options.threads,
        rounds=options.rounds,
        steps=options.steps,
        turn_seconds=options.turn_seconds,
        warm_up_steps=options.warm_up_steps,
        warm_up_seconds=options.turn_seconds,
    )
    environment = describe(options.threads)
    print(headline(environment))
    dataset = workload.read_dataset(options.dataset, options.data_dir)
    batches = []
    with tempfile.TemporaryDirectory() as scratch:
        for batch_size in options.batch_sizes:
            _progress(f"batch {batch_size}: asking the oracle")
            work = workload.make(dataset, options.operation, batch_size, Path(scratch) / str(batch_size))
            reports = compare(options.entries, work, protocol, say=_progress)
            batches.append(_batch_result(work, reports))
            print_batch(batches[-1], options.operation)
    return {
        "schema": SCHEMA,
        "kind": "latency",
        "command": ["benchmarks/latency.py", *options.command],
        "environment": environment,
        "protocol": {
            "threads": protocol.threads,
            "rounds": protocol.rounds,
            "steps": protocol.steps,
            "turn_seconds": protocol.turn_seconds,
            "untimed_steps_per_turn": UNTIMED_STEPS,
            "settle_seconds": protocol.settle_seconds,
            "checked_steps": workload.CHECKED_STEPS,
        },
        "workload": {
            "operation": options.operation,
            "dataset": dataset.name,
            "init": workload.INIT,
            "seed": workload.SEED,
            "learning_rate": workload.LEARNING_RATE,
            "trained_steps": 0 if options.operation == "step" else workload.TRAINED_STEPS,
        },
        "batches": batches,
    }


def _batch_result(work: workload.Workload, reports: Sequence[Report]) -> dict[str, Any]:
    timed = [report for report in reports if report.status == "timed"]
    sync: dict[str, Rounds] = {report.name: report.sync for report in timed}
    throughput: dict[str, Rounds] = {
        f"{report.name} {mode}": rounds for report in timed for mode, rounds in report.throughput.items()
    }
    peers = tuple(report.name for report in timed if report.is_peer)
    in_throughput = [name for name in throughput if name.partition(" ")[0] in peers]
    return {
        "batch_size": work.batch_size,
        "tolerance": work.tolerance,
        "oracle_answers": work.answers[:SHOWN_ANSWERS],
        "contestants": [report.as_json() for report in reports],
        "sync": _estimates(sync, peers),
        "throughput": _estimates(throughput, in_throughput),
    }


def _estimates(times: dict[str, Rounds], peers: Sequence[str]) -> dict[str, Any]:
    """Per contestant: the summary of its seconds per step, and its ratio to the fastest peer or None."""
    ratios = ratios_to_fastest(times, peers)
    return {
        name: {
            **summarise(rounds)._asdict(),
            "ratio": ratios[name]._asdict() if name in ratios else None,
        }
        for name, rounds in times.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a contestant was wrong or failed, so that nobody overlooks it."""
    result = measure_and_save(parse, measure, arguments)
    statuses = {report["status"] for batch in result["batches"] for report in batch["contestants"]}
    return 1 if statuses & {"wrong", "failed"} else 0


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
