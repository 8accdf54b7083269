"""Pictures of results. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .environment import headline
from .summaries import Result, Rows
from .tables import epochs, sizes_of


def draw(summary: Result, path: Path) -> None:
    """The picture of a summary of its kind."""
    pictures = {"latency": _latency, "batch_sizes": _batch_sizes, "time_to_accuracy": _time_to_accuracy}
    figure = pictures[summary["kind"]](summary)
    figure.suptitle(headline(summary["environment"]), fontsize=8)
    figure.savefig(path, dpi=120)


def _latency(summary: Result) -> Figure:
    """Median latency against batch size, a line per contestant, bars from fastest round to slowest."""
    operation = summary["settings"]["operation"]
    alone = [row for row in summary["rows"] if row["mode"] == operation]
    together = [row for row in summary["rows"] if row["mode"] != operation]
    panels = {f"{operation}, one at a time": alone} | ({"throughput": together} if together else {})
    figure = Figure(figsize=(1 + 5 * len(panels), 7), layout="constrained")
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False).flat
    for axes, (title, rows) in zip(every, panels.items(), strict=True):
        _draw_lines(axes, rows, operation)
        axes.set_title(title)
    figure.axes[0].set_ylabel(f"milliseconds per {operation}")
    return figure


def _draw_lines(axes: Axes, rows: Rows, operation: str) -> None:
    lines: dict[tuple[str, str], Rows] = {}
    for row in rows:
        lines.setdefault((row["contestant"], row["mode"]), []).append(row)
    for (contestant, mode), points in lines.items():
        axes.errorbar(
            sizes_of(points),
            [row["milliseconds"]["median"] for row in points],
            yerr=_bars([row["milliseconds"] for row in points]),
            label=contestant if mode == operation else f"{contestant} {mode}",
            marker="o",
            capsize=3,
            linewidth=1 if points[0]["is_peer"] else 3,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes_of(rows), [str(size) for size in sizes_of(rows)])
    axes.minorticks_off()
    axes.set_xlabel("batch size")
    axes.grid(alpha=0.3)
    if lines:
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)


def _bars(figures: Sequence[Mapping[str, float]]) -> tuple[list[float], list[float]]:
    """How far low and high are from the median."""
    below = [max(0.0, figure["median"] - figure["low"]) for figure in figures]
    above = [max(0.0, figure["high"] - figure["median"]) for figure in figures]
    return below, above


def _time_to_accuracy(summary: Result) -> Figure:
    """Test accuracy against training seconds, one line per run."""
    recipes = summary["settings"]["recipes"]
    figure = Figure(figsize=(7 * len(recipes), 5), layout="constrained")
    for axes, recipe in zip(figure.subplots(1, len(recipes), squeeze=False).flat, recipes, strict=True):
        runs = [run for run in summary["curves"] if run["epochs"] == recipe["epochs"]]
        colours = {name: f"C{i}" for i, name in enumerate(dict.fromkeys(run["contestant"] for run in runs))}
        for run in runs:
            _, seconds, accuracies = zip(*run["points"], strict=True)
            axes.plot(
                seconds,
                [100 * accuracy for accuracy in accuracies],
                color=colours[run["contestant"]],
                label=run["contestant"] if run["seed"] == runs[0]["seed"] else None,
                alpha=0.7,
            )
        for target in recipe["targets"]:
            axes.axhline(target, color="grey", linewidth=0.7, linestyle=":")
        axes.set(title=epochs(recipe["epochs"]), xlabel="training seconds", ylabel="test accuracy, %")
        axes.set_ylim(min(recipe["targets"]) - 1, 100)
        axes.legend(loc="lower right")
    return figure


def _batch_sizes(summary: Result) -> Figure:
    """Microseconds per image against batch size, bars from fastest round to slowest; below, the jumps."""
    rows, sizes = summary["rows"], sizes_of(summary["rows"])
    figure = Figure(figsize=(11, 8), layout="constrained")
    times, jumps = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    figures = [row["microseconds_per_image"] for row in rows]
    medians = [figure["median"] for figure in figures]
    times.errorbar(sizes, medians, yerr=_bars(figures), marker=".", linewidth=1, elinewidth=0.5)
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
    return figure
