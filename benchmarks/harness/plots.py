"""Pictures of results, from summaries alone. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from PIL import Image

from .environment import headline
from .styles import OURS, Style, styles
from .summaries import PERCENT, Result, Rows
from .tables import by_median, epochs, milliseconds, sizes_of

DPI, PALETTE = 100, 256
NAMED_TICKS = 100  # an axis that spans fewer times has ticks at 2 and 5 too
OPERATIONS = {"step": "A training step", "predict": "A prediction", "evaluate": "An evaluation"}


def draw(summary: Result, path: Path) -> None:
    """Write the picture of a summary in the format that the suffix names."""
    figure = figure_of(summary)
    if path.suffix.lower() != ".png":
        figure.savefig(path)
        return
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    _with_palette(Image.open(drawn).convert("RGB")).save(path, optimize=True)


def _with_palette(picture: Image.Image) -> Image.Image:
    """The picture in its commonest colours: a third of the bytes, and nobody takes another's."""
    counted = sorted(picture.getcolors(picture.width * picture.height) or [], reverse=True)
    palette = Image.new("P", (1, 1))
    palette.putpalette(bytes(byte for _, colour in counted[:PALETTE] for byte in colour))
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def figure_of(summary: Result) -> Figure:
    """The picture of a summary of its kind."""
    pictures = {"latency": _latency, "batch_sizes": _batch_sizes, "time_to_accuracy": _time_to_accuracy}
    figure = pictures[summary["kind"]](summary)
    for text in figure.findobj(Text):
        text.set(parse_math=False)  # a processor's name is no formula
    return figure


def _titled(summary: Result, title: str, legend: str, size: tuple[float, float]) -> Figure:
    """A figure that says what it shows, where it was measured, and how to read it."""
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{title}\n{headline(summary['environment'])}", fontsize=10)
    figure.supxlabel(legend, fontsize=9)
    return figure


def _latency(summary: Result) -> Figure:
    """Milliseconds, a row of panels for each batch size: one call at a time, and the throughput modes."""
    settings, rows = summary["settings"], summary["rows"]
    operation, sizes = settings["operation"], sizes_of(rows)
    panels = {"one at a time": [row for row in rows if row["mode"] == operation]}
    if together := [row for row in rows if row["mode"] != operation]:
        panels["throughput: answers read at the end"] = together
    looks = styles(row["contestant"] for row in rows)
    lines = max(len(panel) for panel in panels.values()) / max(1, len(sizes))
    figure = _titled(
        summary,
        f"{OPERATIONS[operation]} of the MNIST network{_when(settings)}: time per call, lower is better",
        f"Dot and number: the median. "
        f"Whisker: from the fastest to the slowest median of {_count(settings['rounds'], 'round')}.",
        (2.5 + 5 * len(panels), 1.2 + max(1, len(sizes)) * (0.6 + 0.25 * lines)),
    )
    if not rows:
        figure.text(0.5, 0.5, "nothing was timed", ha="center")
        return figure
    grid = figure.subplots(len(sizes), len(panels), sharex=True, squeeze=False)
    for line, size in zip(grid, sizes, strict=True):
        for axes, (title, panel) in zip(line, panels.items(), strict=True):
            _draw_dots(axes, by_median([row for row in panel if row["batch_size"] == size]), operation, looks)
            axes.set_title(f"{_count(size, 'image')}, {title}", fontsize=10, loc="left")
    _scale_times([row["milliseconds"] for row in rows], grid[0][0])
    for axes in grid[-1]:
        axes.set_xlabel(f"milliseconds per {operation}, log scale (lower is better)")
    return figure


def _when(settings: Mapping[str, Any]) -> str:
    """How late in training steps were timed; summaries of the first ones do not say it."""
    late = settings.get("after_steps")
    return f" after {late:,} steps with momentum {settings['momentum']:g}" if late else ""


def _draw_dots(axes: Axes, rows: Rows, operation: str, looks: Mapping[str, Style]) -> None:
    """A line for each contestant, the fastest on top: its name, dot, whisker and median."""
    names = [
        row["contestant"] if row["mode"] == operation else f"{row['contestant']} {row['mode']}"
        for row in rows
    ]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for place, row in enumerate(rows):
        look, figures = looks[row["contestant"]], row["milliseconds"]
        axes.errorbar(
            figures["median"],
            place,
            xerr=_whiskers([figures]),
            color=look.colour,
            marker=look.marker,
            capsize=3,
            label=row["contestant"],
        )
        end = max(figures["median"], figures["high"])
        axes.annotate(
            milliseconds(figures["median"]),
            (end, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            fontweight=look.weight,
        )
        axes.get_yticklabels()[place].set_fontweight(look.weight)
    _tidy(axes, "x")


def _scale_times(figures: Sequence[Mapping[str, float]], axes: Axes) -> None:
    """A logarithmic axis for all of them, with room for the numbers on the right."""
    low = min(min(figure["low"], figure["median"]) for figure in figures)
    high = max(max(figure["high"], figure["median"]) for figure in figures)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.3, high * (high / low) ** 0.12 * 1.3)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < NAMED_TICKS * low else (1,)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _whiskers(figures: Sequence[Mapping[str, float]]) -> tuple[list[float], list[float]]:
    """How far low and high are from the median."""
    below = [max(0.0, figure["median"] - figure["low"]) for figure in figures]
    above = [max(0.0, figure["high"] - figure["median"]) for figure in figures]
    return below, above


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _tidy(axes: Axes, grid: Any = "both") -> None:
    axes.grid(axis=grid, alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _time_to_accuracy(summary: Result) -> Figure:
    """Test accuracy against training seconds, one line per run; and when each target was reached."""
    settings, curves = summary["settings"], summary["curves"]
    recipes = settings["recipes"]
    looks = styles(run["contestant"] for run in curves)
    figure = _titled(
        summary,
        "Test accuracy while training with the recipe of --preset fast: earlier is better",
        f"Line: one of {_count(settings['seeds'], 'seed')}. Dot and number: when a target was first reached, "
        "the median of the seeds; whisker: its 95% interval.",
        (max(9, 7 * len(recipes)), 5.5),
    )
    for axes, recipe in zip(figure.subplots(1, len(recipes), squeeze=False).flat, recipes, strict=True):
        _draw_runs(axes, [run for run in curves if run["epochs"] == recipe["epochs"]], looks)
        _draw_targets(axes, [row for row in summary["rows"] if row["epochs"] == recipe["epochs"]], looks)
        axes.set_title(epochs(recipe["epochs"]), fontsize=10, loc="left")
        axes.set(xlabel="training seconds (fewer is better)", ylabel="test accuracy")
        axes.set_ylim(min(recipe["targets"]) - 1, PERCENT)
        axes.set_xlim(left=0)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}%"))
        _tidy(axes)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", frameon=False)
    return figure


def _draw_runs(axes: Axes, runs: Rows, looks: Mapping[str, Style]) -> None:
    named: set[str] = set()
    for run in runs:
        name = run["contestant"]
        _, seconds, accuracies = zip(*run["points"], strict=True)
        percents = [PERCENT * accuracy for accuracy in accuracies]
        label = None if name in named else name
        axes.plot(seconds, percents, color=looks[name].colour, label=label, alpha=0.45, linewidth=1.2)
        named.add(name)


def _draw_targets(axes: Axes, rows: Rows, looks: Mapping[str, Style]) -> None:
    """A dot where half of the seeds had reached the target; none where that never happened."""
    for row in rows:
        axes.axhline(row["target"], color="grey", linewidth=0.7, linestyle=":")
        figures = row["seconds"]
        if figures["median"] is None:
            continue
        ends = {
            "low": figures["low"],
            "median": figures["median"],
            "high": figures["high"] or axes.get_xlim()[1],
        }
        look = looks[row["contestant"]]
        axes.errorbar(
            ends["median"],
            row["target"],
            xerr=_whiskers([ends]),
            color=look.colour,
            marker="o",
            capsize=4,
            lw=2.5,
        )
        axes.annotate(
            f"{figures['median']:.1f} s",
            (ends["median"], row["target"]),
            xytext=(0, -8),
            textcoords="offset points",
            ha="center",
            va="top",
            fontweight="bold",
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
        )


def _batch_sizes(summary: Result) -> Figure:
    """Microseconds per image against batch size; below, each size against the one before it."""
    rows, sizes = summary["rows"], sizes_of(summary["rows"])
    settings = summary["settings"]
    colour = styles([f"{OURS}-{settings['device']}"])[f"{OURS}-{settings['device']}"].colour
    figure = _titled(
        summary,
        f"Trainer.step on {settings['device']}: time per image at {len(sizes)} batch sizes, lower is better",
        f"Dot: median of {_count(settings['rounds'], 'round')}. Whisker: from the fastest to the slowest.",
        (10, 7),
    )
    times, jumps = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    figures = [row["microseconds_per_image"] for row in rows]
    medians = [figure["median"] for figure in figures]
    times.errorbar(sizes, medians, yerr=_whiskers(figures), color=colour, marker=".", lw=1, elinewidth=0.6)
    times.set_ylim(bottom=0)
    times.set_ylabel("microseconds per image\n(lower is better)")
    jumps.plot(sizes[1:], [row["times_the_size_before"] for row in rows[1:]], ".", color=colour)
    jumps.axhline(1, color="grey", linewidth=0.7)
    jumps.set(xlabel="batch size, log scale", ylabel="times the time per image\nof the size before")
    jumps.set_xscale("log", base=2)
    powers = [2**power for power in range(max(sizes).bit_length())]
    jumps.set_xticks(powers, [f"{power:,}" for power in powers])
    jumps.xaxis.set_minor_locator(NullLocator())
    for axes in (times, jumps):
        _tidy(axes)
    return figure
