"""Pictures of results. Needs matplotlib."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from environment import headline


def draw(result: dict[str, Any], path: Path) -> None:
    """The picture of a result of its kind."""
    pictures = {
        "latency": latency_plot,
        "time to accuracy": accuracy_plot,
        "batch sizes": batch_sizes_plot,
    }
    pictures[result["kind"]](result, path)


def latency_plot(result: dict[str, Any], path: Path) -> None:
    """Median latency against batch size, a line per contestant, bars from fastest round to slowest."""
    operation, batches = result["workload"]["operation"], result["batches"]
    titles = {"sync": f"one {operation} at a time"}
    if any(batch["throughput"] for batch in batches):
        titles["throughput"] = "throughput"
    figure = Figure(figsize=(1 + 5 * len(titles), 6), layout="constrained")
    every = figure.subplots(1, len(titles), sharey=True, squeeze=False).flat
    for axes, (kind, title) in zip(every, titles.items(), strict=True):
        _draw_lines(axes, batches, kind)
        axes.set_title(title)
    figure.axes[0].set_ylabel(f"milliseconds per {operation}")
    _save(figure, result, path)


def _draw_lines(axes: Axes, batches: list[dict[str, Any]], kind: str) -> None:
    names = list(dict.fromkeys(name for batch in batches for name in batch[kind]))
    for name in names:
        points = [(batch["batch_size"], batch[kind][name]) for batch in batches if name in batch[kind]]
        sizes = [size for size, _ in points]
        medians = [1e3 * row["median"] for _, row in points]
        below = [1e3 * max(0.0, row["median"] - row["low"]) for _, row in points]
        above = [1e3 * max(0.0, row["high"] - row["median"]) for _, row in points]
        ours = name.startswith("mpsmnist")
        axes.errorbar(
            sizes, medians, yerr=(below, above), label=name, marker="o", capsize=3, linewidth=3 if ours else 1
        )
    every = sorted({batch["batch_size"] for batch in batches})
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(every, [str(size) for size in every])
    axes.minorticks_off()
    axes.set_xlabel("batch size")
    axes.grid(alpha=0.3)
    if names:
        axes.legend(fontsize=8)


def accuracy_plot(result: dict[str, Any], path: Path) -> None:
    """Test accuracy against training seconds, one line per run."""
    recipes = result["recipes"]
    figure = Figure(figsize=(7 * len(recipes), 5), layout="constrained")
    for axes, recipe in zip(figure.subplots(1, len(recipes), squeeze=False).flat, recipes, strict=True):
        for run in recipe["runs"]:
            ours = run["name"].startswith("mpsmnist")
            points = run["evaluations"]
            axes.plot(
                [point["seconds"] for point in points],
                [100 * point["accuracy"] for point in points],
                color="tab:blue" if ours else "tab:orange",
                label=run["name"] if run["seed"] == recipe["runs"][0]["seed"] else None,
                alpha=0.7,
            )
        for target in recipe["targets"]:
            axes.axhline(target, color="grey", linewidth=0.7, linestyle=":")
        axes.set(title=f"{recipe['epochs']:g} epochs", xlabel="training seconds", ylabel="test accuracy, %")
        axes.set_ylim(min(recipe["targets"]) - 1, 100)
        axes.legend(loc="lower right")
    _save(figure, result, path)


def batch_sizes_plot(result: dict[str, Any], path: Path) -> None:
    """Microseconds per image against batch size, bars from fastest round to slowest; below, the jumps."""
    rows = result["sizes"]
    figure = Figure(figsize=(11, 8), layout="constrained")
    times, jumps = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    sizes, medians = [row["batch_size"] for row in rows], [row["median"] for row in rows]
    below = [row["median"] - row["low"] for row in rows]
    above = [row["high"] - row["median"] for row in rows]
    times.errorbar(sizes, medians, yerr=(below, above), marker=".", linewidth=1, elinewidth=0.5)
    times.set_ylim(bottom=0)
    times.set(title="Trainer.step", ylabel="microseconds per image")
    times.grid(alpha=0.3)
    jumps.plot(sizes[1:], [row["times_the_size_before"] for row in rows[1:]], marker=".", linewidth=1)
    jumps.axhline(1, color="grey", linewidth=0.7)
    jumps.set(xlabel="batch size", ylabel="times those of the size before")
    jumps.set_xscale("log", base=2)
    powers = [2**power for power in range(max(sizes).bit_length())]
    jumps.set_xticks(powers, [str(power) for power in powers])
    jumps.grid(alpha=0.3)
    _save(figure, result, path)


def _save(figure: Figure, result: dict[str, Any], path: Path) -> None:
    figure.suptitle(textwrap.fill(headline(result["environment"]), 90), fontsize=8)
    figure.savefig(path, dpi=120)
