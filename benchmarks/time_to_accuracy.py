"""Seconds and steps of training until the test accuracy is reached, with one recipe for everybody.

    python benchmarks/time_to_accuracy.py --seeds 5 --output accuracy.json --plot accuracy.png

The runs alternate, each in a process of its own. README.md beside this file says what is timed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from contestants import Entry, select
from harness.arguments import add_common, positive
from harness.command import run
from harness.environment import BENCHMARKS, contestant_environment
from harness.workload import read_dataset


class Recipe(NamedTuple):
    """A length of the fast preset, and the test accuracies (percent) that are looked for in it."""

    epochs: float
    targets: tuple[float, ...]


DEFAULT_RECIPES = (Recipe(1, (98.0, 99.0)), Recipe(5, (99.4,)))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time to accuracy of mpsmnist and its peers.")
    add = parser.add_argument
    add(
        "--seeds",
        type=positive,
        default=5,
        metavar="N",
        help="runs of each, with seeds 0 to N-1 (default: 5)",
    )
    add(
        "--recipes",
        type=_recipe,
        nargs="+",
        default=DEFAULT_RECIPES,
        metavar="EPOCHS:PERCENT,...",
        help="epochs of the fast preset, and the targets looked for in them (default: 1:98,99 5:99.4)",
    )
    add("--evaluations", type=positive, default=20, help="of the test set in each run (default: 20)")
    add_common(parser, dataset="mnist", plot="test accuracy against training seconds")
    return parser.parse_args(arguments)


def measure(entries: Sequence[Entry], options: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    """The evaluations of every run, one recipe after the other."""
    for recipe in options.recipes:
        yield [_run(entry, recipe, seed, options) for seed in range(options.seeds) for entry in entries]


def _run(entry: Entry, recipe: Recipe, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    print(f"{entry.name}, {recipe.epochs:g} epochs, seed {seed}", file=sys.stderr, flush=True)
    assignment = {
        "module": entry.module,
        "class_name": entry.class_name,
        "epochs": recipe.epochs,
        "seed": seed,
        "count": options.evaluations,
        "threads": options.threads,
        "dataset": options.dataset,
        "data_dir": None if options.data_dir is None else str(options.data_dir.absolute()),
    }
    done = subprocess.run(
        [sys.executable, "-m", "harness.training_worker", json.dumps(assignment)],
        cwd=BENCHMARKS,
        env=contestant_environment(options.threads, entry.thread_variables),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"the run of {entry.name} with seed {seed} failed; what it said is above")
    evaluations = json.loads(done.stdout)
    return {"epochs": recipe.epochs, "contestant": entry.name, "seed": seed, "evaluations": evaluations}


def _installed() -> list[Entry]:
    """Those that can run here; the others are listed with the command that installs them."""
    entries = select(None, "cpu", "train")
    for entry in entries:
        if not entry.installed:
            print(f"- not installed: {entry.name}: {entry.install}")
    return [entry for entry in entries if entry.installed]


def _recipe(text: str) -> Recipe:
    epochs, _, targets = text.partition(":")
    return Recipe(float(epochs), tuple(float(target) for target in targets.split(",")))


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    options = parse(arguments)
    entries = _installed()
    settings = {
        "seeds": options.seeds,
        "evaluations": options.evaluations,
        "dataset": read_dataset(options.dataset, options.data_dir).name,
        "recipes": [recipe._asdict() for recipe in options.recipes],
    }
    run(
        "time_to_accuracy",
        options,
        arguments=arguments,
        settings=settings,
        parts=measure(entries, options),
        distributions=dict.fromkeys(name for entry in entries for name in entry.distributions),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
