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
    {"latency": latency_plot, "time to accuracy": accuracy_plot}[result["kind"]](result, path)


def latency_plot(result: dict[str, Any], path: Path) -> None:
    """Median latency against batch size, a line per contestant, bars from fastest round to slowest."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    sync, throughput = figure.subplots(1, 2, sharey=True)
    _draw_lines(sync, result["batches"], "sync")
    _draw_lines(throughput, result["batches"], "throughput")
    sync.set(title="one step at a time", ylabel="milliseconds per step")
    throughput.set(title="throughput")
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


def _save(figure: Figure, result: dict[str, Any], path: Path) -> None:
    figure.suptitle(textwrap.fill(headline(result["environment"]), 90), fontsize=8)
    figure.savefig(path, dpi=120)
