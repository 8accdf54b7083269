"""Summaries as text: Markdown tables, so that they can be pasted as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from .summaries import MICROSECONDS, MILLISECONDS, Result, Rows

Figures = Mapping[str, float | None]  # median, low, high; None for "never"


def show(summary: Result) -> None:
    """Print all of a summary."""
    writers = {
        "latency": _latency,
        "batch_sizes": _batch_sizes,
        "time_to_accuracy": _time_to_accuracy,
        "overhead": _overhead,
        "phases": _phases,
        "pictures": _pictures,
        "app": _app,
        "ranks": _ranks,
    }
    print("\n".join(writers[summary["kind"]](summary)) + "\n", flush=True)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table whose columns are aligned."""
    rows = [*rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ["-" * width for width in widths]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [header, rule, *rows]
    ]


def milliseconds(value: float) -> str:
    """Three significant digits or so."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def ratio(figures: Mapping[str, float] | None) -> str:
    """A ratio with its interval; a dash where there is nothing to compare with."""
    return "-" if figures is None else "{value:.2f} ({low:.2f} - {high:.2f})".format(**figures)


def interval(figures: Figures, form: str) -> str:
    """A median with its interval."""
    median, low, high = (
        "never" if figures[key] is None else format(figures[key], form) for key in ("median", "low", "high")
    )
    return f"{median} ({low} - {high})"


def _ratio_column(settings: Mapping[str, Any]) -> str:
    """The name of the ratios' column."""
    against = settings["against"]
    return f"times the speed of {against or 'the fastest peer'} (95%)"


def epochs(count: float) -> str:
    """So many epochs."""
    return f"{count:g} {'epoch' if count == 1 else 'epochs'}"


def sizes_of(rows: Rows) -> list[int]:
    """The batch sizes, in the order of the rows."""
    return list(dict.fromkeys(row["batch_size"] for row in rows))


def _latency(summary: Result) -> list[str]:
    """For each batch size what ran, and how fast; then what did not run, and why."""
    operation = summary["settings"]["operation"]
    lines = []
    for size in sizes_of(summary["contestants"]):
        rows = [row for row in summary["rows"] if row["batch_size"] == size]
        alone = [row for row in rows if row["mode"] == operation]
        together = [row for row in rows if row["mode"] != operation]
        contestants = [row for row in summary["contestants"] if row["batch_size"] == size]
        if alone:
            lines += [f"## Batch {size}, {operation}", "", "One at a time, waiting for each answer:", ""]
            lines += [*_calls(alone, summary["settings"]), ""]
        if together:
            lines += [
                "Throughput, losses read at the end:",
                "",
                *_throughput(together, summary["settings"]),
                "",
            ]
        timed = [row for row in contestants if row["status"] == "timed"]
        if timed:
            lines += ["Startup, memory and errors:", "", *startup(timed)]
        lines += [_absence(row) for row in contestants if row["status"] != "timed"]
    return lines


def _calls(rows: Rows, settings: Mapping[str, Any]) -> list[str]:
    header = [
        "contestant",
        f"ms/{settings['operation']}",
        "p90",
        "p99",
        "rounds' medians",
        _ratio_column(settings),
    ]
    return table(
        header,
        [
            [
                f"`{row['contestant']}`",
                *(milliseconds(row["milliseconds"][key]) for key in ("median", "p90", "p99")),
                _rounds(row),
                ratio(row["ratio"]),
            ]
            for row in by_median(rows)
        ],
    )


def _throughput(rows: Rows, settings: Mapping[str, Any]) -> list[str]:
    header = ["contestant", f"ms/{settings['operation']}", "rounds' medians", _ratio_column(settings)]
    return table(
        header,
        [
            [
                f"`{row['contestant']} {row['mode']}`",
                milliseconds(row["milliseconds"]["median"]),
                _rounds(row),
                ratio(row["ratio"]),
            ]
            for row in by_median(rows)
        ],
    )


def by_median(rows: Rows) -> Rows:
    """The fastest first."""
    return sorted(rows, key=lambda row: float(row["milliseconds"]["median"]))


def _rounds(row: Mapping[str, Any]) -> str:
    return f"{milliseconds(row['milliseconds']['low'])} - {milliseconds(row['milliseconds']['high'])}"


def startup(contestants: Rows) -> list[str]:
    """What else is known of those that were timed; their memory if it was measured."""
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "contestant": lambda row: f"`{row['contestant']}`",
        "import s": lambda row: f"{row['import_seconds']:.2f}",
        "build s": lambda row: f"{row['build_seconds']:.2f}",
        "first call s": lambda row: f"{row['first_call_seconds']:.2f}",
        "warm-up s (calls)": lambda row: f"{row['warm_up_seconds']:.2f} ({row['warm_up_calls']})",
        "data ms/batch": lambda row: milliseconds(row["data_milliseconds"]),
        "idle CPU": lambda row: f"{row['idle_cores']:.1%}",
        "peak MB": lambda row: str(row["peak_megabytes"]),
        "error": lambda row: f"{row['worst_error']:.0e}",
    }
    if any(row["peak_megabytes"] is None for row in contestants):
        del columns["peak MB"]
    return table([*columns], [[cell(row) for cell in columns.values()] for row in contestants])


def _absence(row: Mapping[str, Any]) -> str:
    if row["status"] == "missing":
        return f"- not installed: {row['contestant']}: {row['reason']}"
    return f"- {row['status'].upper()}, not timed: {row['contestant']}: {row['reason']}"


def _batch_sizes(summary: Result) -> list[str]:
    return [*batch_sizes(summary["rows"]), "", *largest_rise(summary["rows"])]


def batch_sizes(rows: Rows) -> list[str]:
    """Sizes, and how long they take."""
    header = ["batch", "us/image", "fastest - slowest round", "ms/step", "times the size before"]
    lines = []
    for row in rows:
        size, figures, times = row["batch_size"], row["microseconds_per_image"], row["times_the_size_before"]
        lines.append(
            [
                str(size),
                f"{figures['median']:.1f}",
                f"{figures['low']:.1f} - {figures['high']:.1f}",
                milliseconds(figures["median"] * size * MILLISECONDS / MICROSECONDS),
                "" if times is None else f"{times:.2f}",
            ]
        )
    return table(header, lines)


def largest_rise(rows: Rows) -> list[str]:
    """Where the worst cliff is; nothing of a single size."""
    if len(rows) < 2:
        return []
    before, worst = max(pairwise(rows), key=lambda pair: float(pair[1]["times_the_size_before"]))
    return [
        f"The largest rise from a size to the next: {worst['times_the_size_before']:.2f} times, "
        f"from {before['batch_size']} to {worst['batch_size']}."
    ]


def _time_to_accuracy(summary: Result) -> list[str]:
    lines = []
    for length in dict.fromkeys(row["epochs"] for row in summary["rows"]):
        rows = [row for row in summary["rows"] if row["epochs"] == length]
        lines += [f"{epochs(length)} of the fast preset:", "", *targets(rows), ""]
    return lines[:-1]


def targets(rows: Rows) -> list[str]:
    """When each target was reached."""
    return table(
        ["target", "contestant", "reached", "seconds, median (95%)", "steps, median (95%)"],
        [
            [
                f"{row['target']:g}%",
                row["contestant"],
                f"{row['reached']} of {row['runs']}",
                interval(row["seconds"], ".1f"),
                interval(row["steps"], ".0f"),
            ]
            for row in rows
        ],
    )


def _overhead(summary: Result) -> list[str]:
    return overhead(summary["rows"])


def overhead(rows: Rows) -> list[str]:
    """The parts of a step."""
    parts = list(dict.fromkeys(row["part"] for row in rows))
    cells = {
        (row["batch_size"], row["part"]): interval(row["microseconds"], ".1f")
        if "microseconds" in row
        else interval(row["ratio"], ".3f")
        for row in rows
    }
    sizes = sizes_of(rows)
    lines = table(["batch", *parts], [[str(size), *(cells[size, part] for part in parts)] for size in sizes])
    return [*lines, "", "Microseconds per call: the median of the rounds (quartiles)."]


def _ranks(summary: Result) -> list[str]:
    return ranks(summary["rows"])


def ranks(rows: Rows) -> list[str]:
    """The ways of a step by number of ranks."""
    ways = list(dict.fromkeys(row["way"] for row in rows))
    cells = {
        (row["ranks"], row["way"]): f"{interval(row['milliseconds'], '.2f')}: "
        f"{row['efficiency_percent']['median']:.0f}%{_sent(row)}"
        for row in rows
    }
    sizes = {row["ranks"]: row["batch_size"] for row in rows}
    lines = table(
        ["ranks", "images each", *ways],
        [
            [str(count), str(size), *(cells[count, way] for way in ways if (count, way) in cells)]
            for count, size in sizes.items()
        ],
    )
    return [
        *lines,
        "",
        "Milliseconds a step: the median of the rounds (quartiles): the efficiency of a rank, what it sends.",
    ]


def _sent(row: Result) -> str:
    return f", {row['bytes_sent'] / 1e6:.1f} MB" if row["bytes_sent"] else ""


def _phases(summary: Result) -> list[str]:
    lines = []
    for size in sizes_of(summary["rows"]):
        lines += [
            f"Batch {size}:",
            "",
            *phases([row for row in summary["rows"] if row["batch_size"] == size]),
            "",
        ]
    return lines[:-1]


def phases(rows: Rows) -> list[str]:
    """The phases of one batch size."""
    return table(
        ["phase", "ms", "GFLOP/s", "of peak", "GB/s", "MB"],
        [
            [
                row["phase"],
                milliseconds(row["milliseconds"]["median"]),
                f"{row['gflops']:.0f}",
                f"{row['percent_of_peak']:.0f}%",
                "" if row["gigabytes_per_second"] is None else f"{row['gigabytes_per_second']:.1f}",
                "" if row["megabytes"] is None else f"{row['megabytes']:.1f}",
            ]
            for row in rows
        ],
    )


def _pictures(summary: Result) -> list[str]:
    return pictures(summary["rows"])


def pictures(rows: Rows) -> list[str]:
    """Kinds of pictures, how many of each were read and how many are unsure."""
    return table(
        ["kind", "sort", "pictures", "read", "unsure"],
        [
            [
                row["kind"].replace("_", " "),
                row["sort"],
                str(row["pictures"]),
                "" if row["read_percent"] is None else f"{row['read_percent']:.1f}%",
                f"{row['unsure_percent']:.1f}%",
            ]
            for row in rows
        ],
    )


def _app(summary: Result) -> list[str]:
    return app(summary["rows"])


def app(rows: Rows) -> list[str]:
    """What the page costs."""
    strokes = [row for row in rows if row["what"] == "stroke"]
    runs = [row for row in rows if row["what"] == "run"]
    lines = []
    if strokes:
        header = ["network", "to the bars: ms, median", "p95", "to the frame: ms, median", "p95", "strokes"]
        figures = [(end, figure) for end in ("bars", "frames") for figure in ("median", "p95")]
        cells = [[f"{row[end][figure]:.1f}" for end, figure in figures] for row in strokes]
        names = [(row["how"], str(row["strokes"])) for row in strokes]
        lines = table(header, [[how, *cell, count] for (how, count), cell in zip(names, cells, strict=True)])
    if runs:
        header = [
            "cores",
            "threads",
            "a run",
            "seconds (quartiles)",
            "of the time alone, by round",
            "browser",
        ]
        lines += [""] if strokes else []
        lines += table(header, [_run_of_app(row) for row in runs])
    return lines


def _run_of_app(row: Mapping[str, Any]) -> list[str]:
    load = interval(row["browser_load"], ".1%") if "browser_load" in row else ""
    times = [interval(row["seconds"], ".2f"), interval(row["ratio"], ".3f")]
    return [row["cores"], str(row["threads"]), row["how"], *times, load]
