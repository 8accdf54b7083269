"""Seconds and steps of training until the test accuracy is reached: mpsmnist and PyTorch, one recipe.

    python benchmarks/time_to_accuracy.py --seeds 5 --json accuracy.json --plot accuracy.png

The runs alternate, each in a process of its own. README.md beside this file says what is timed.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from contestants import select
from environment import contestant_environment, describe, headline, usable_cpus
from estimates import median_interval
from output import measure_and_save
from tables import print_table

WORKER = Path(__file__).with_name("accuracy_worker.py")
SCHEMA = 1
NAMES = ("mpsmnist", "torch")


class Recipe(NamedTuple):
    """A length of the fast preset, and the test accuracies (percent) that are looked for in it."""

    epochs: float
    targets: tuple[float, ...]


DEFAULT_RECIPES = (Recipe(1, (98.0, 99.0)), Recipe(5, (99.4,)))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time to accuracy of mpsmnist and PyTorch.")
    add = parser.add_argument
    add("--seeds", type=int, default=5, metavar="N", help="runs of each, with seeds 0 to N-1 (default: 5)")
    add(
        "--recipes",
        type=_recipe,
        nargs="+",
        default=DEFAULT_RECIPES,
        metavar="EPOCHS:PERCENT,...",
        help="epochs of the fast preset, and the targets looked for in them (default: 1:98,99 5:99.4)",
    )
    add("--evaluations", type=int, default=20, help="of the test set in each run (default: 20)")
    add("--threads", type=int, default=len(usable_cpus()))
    add("--dataset", default="mnist")
    add("--data-dir", type=Path)
    add("--json", type=Path, metavar="PATH")
    add("--plot", type=Path, metavar="PATH")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that --json saves."""
    environment = describe(options.threads)
    print(headline(environment))
    names = [name for name in NAMES if _installed(name)]
    recipes = []
    for recipe in options.recipes:
        runs = [_run(name, recipe, seed, options) for seed in range(options.seeds) for name in names]
        reached = {name: _reached(name, recipe, runs) for name in names}
        recipes.append({**recipe._asdict(), "runs": runs, "reached": reached})
        _print(recipe, reached)
    return {
        "schema": SCHEMA,
        "kind": "time to accuracy",
        "command": ["benchmarks/time_to_accuracy.py", *options.command],
        "environment": environment,
        "seeds": options.seeds,
        "evaluations": options.evaluations,
        "recipes": recipes,
    }


def _run(name: str, recipe: Recipe, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    words = (name, recipe.epochs, seed, options.evaluations, options.threads, options.dataset)
    print(f"{name}, {recipe.epochs:g} epochs, seed {seed}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, str(WORKER), *(str(word) for word in words), str(options.data_dir or "")],
        env=contestant_environment(options.threads),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"the run of {name} with seed {seed} failed; what it said is above")
    return {"name": name, "seed": seed, **json.loads(done.stdout)}


def _reached(name: str, recipe: Recipe, runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per target: how many runs reached it, and median and interval of their seconds and steps.

    A run that never did counts as infinitely slow; a figure that this makes infinite is None.
    """
    mine = [run["evaluations"] for run in runs if run["name"] == name]
    result = []
    for target in recipe.targets:
        firsts = [next((p for p in points if 100 * p["accuracy"] >= target), None) for points in mine]
        row: dict[str, Any] = {"target": target, "runs": len(mine), "reached": sum(map(bool, firsts))}
        for key in ("seconds", "step"):
            values = [first[key] if first else math.inf for first in firsts]
            row[key] = [value if math.isfinite(value) else None for value in median_interval(values)]
        result.append(row)
    return result


def _print(recipe: Recipe, reached: dict[str, list[dict[str, Any]]]) -> None:
    print(f"\n## {recipe.epochs:g} epochs of the fast preset\n")
    print_table(
        ["target", "contestant", "reached", "seconds, median (95%)", "steps, median (95%)"],
        [
            [
                f"{row['target']:g}%",
                name,
                f"{row['reached']} of {row['runs']}",
                _figure(row["seconds"], ".1f"),
                _figure(row["step"], ".0f"),
            ]
            for name, rows in reached.items()
            for row in rows
        ],
    )
    print(flush=True)


def _figure(values: Sequence[float | None], form: str) -> str:
    median, low, high = ("never" if value is None else format(value, form) for value in values)
    return f"{median} ({low} - {high})"


def _installed(name: str) -> bool:
    entry = next(entry for entry in select([], "cpu") + select(["torch"], "cpu") if entry.imports == name)
    if not entry.installed:
        print(f"- not installed: {name}: {entry.install}")
    return entry.installed


def _recipe(text: str) -> Recipe:
    epochs, _, targets = text.partition(":")
    return Recipe(float(epochs), tuple(float(target) for target in targets.split(",")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    measure_and_save(parse, measure, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
