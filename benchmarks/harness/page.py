"""The tables of RESULTS.md, made from the summaries in results/.

The page says where a table stands and what it shows, between two comments:

    <!-- table: latency latency-epyc -->
    <!-- end -->

The words are a view (a key of VIEWS), the names of summaries, and for some views batch sizes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import tables
from .summaries import Result, Rows, read
from .tables import milliseconds, ratio, sizes_of, table

TABLE = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
View = Callable[[Sequence[Result], Sequence[int]], list[str]]


def drawn_anew(page: str, results: Path) -> str:
    """The page with all its tables made again. Raises ValueError for words that name no view or summary."""
    return TABLE.sub(lambda found: f"{found[1]}{draw(found[2], results)}{found[3]}", page)


def draw(words: str, results: Path) -> str:
    """The caption and the table that these words ask for."""
    view, *arguments = words.split()
    if view not in VIEWS:
        raise ValueError(f"there is no view {view!r}, expected one of {', '.join(VIEWS)}")
    names = [word for word in arguments if not word.isdecimal()]
    missing = [name for name in names if not (results / f"{name}.json").is_file()]
    if missing or not names:
        raise ValueError(f"{words!r} names {', '.join(missing) or 'nothing'}: no summary in {results.name}/")
    summaries = [read(results / f"{name}.json") for name in names]
    sizes = [int(word) for word in arguments if word.isdecimal()]
    return "\n".join([*_caption(summaries), "", *VIEWS[view](summaries, sizes), ""])


def _caption(summaries: Sequence[Result]) -> list[str]:
    """The machine, the day, the versions, the command, and what ratios are to if not to the fastest peer."""
    environments = [summary["environment"] for summary in summaries]
    first = environments[0]
    threads = ", ".join(dict.fromkeys(str(environment["threads"]) for environment in environments))
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    days = ", ".join(dict.fromkeys(environment["date"][:10] for environment in environments))
    commits = ", ".join(dict.fromkeys(environment["commit"] for environment in environments))
    commands = dict.fromkeys(
        re.sub(r"--threads \d+", "--threads T", summary["command"]) if "," in threads else summary["command"]
        for summary in summaries
    )
    against = summaries[0]["settings"].get("against")
    return [
        f"{first['cpu']}, {threads} {'thread' if threads == '1' else 'threads'}; {days}, commit {commits}; "
        f"Python {first['python']}, {versions}:",
        ", ".join(f"`{command}`" for command in commands),
        *([f"(ratios: times the speed of `{against}`)"] if against else []),
    ]


def _calls(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    """One call at a time: contestants by batch sizes."""
    (summary,) = summaries
    return _matrix([row for row in _rows(summary, sizes) if row["mode"] == summary["settings"]["operation"]])


def _throughput(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    """The throughput modes of contestants by batch sizes."""
    (summary,) = summaries
    return _matrix([row for row in _rows(summary, sizes) if row["mode"] != summary["settings"]["operation"]])


def _matrix(rows: Rows) -> list[str]:
    sizes = sizes_of(rows)
    alone = len({row["contestant"] for row in rows}) * len(sizes) == len(rows)
    cells: dict[str, dict[int, str]] = {}
    for row in tables.by_median(rows):
        name = f"`{row['contestant']}`" if alone else f"`{row['contestant']} {row['mode']}`"
        cells.setdefault(name, {})[row["batch_size"]] = _cell(row)
    return table(
        ["contestant", *_size_columns(rows)],
        [[name, *(by_size.get(size, "") for size in sizes)] for name, by_size in cells.items()],
    )


def _cell(row: Mapping[str, Any]) -> str:
    return f"{milliseconds(row['milliseconds']['median'])}: {ratio(row['ratio'])}"


def _threads(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    """One row for each number of threads: our milliseconds per step, the fastest peer's, and the ratio."""
    lines = []
    for summary in summaries:
        rows = [row for row in _rows(summary, sizes) if row["mode"] == summary["settings"]["operation"]]
        cells = []
        for size in sizes_of(rows):
            of_size = tables.by_median([row for row in rows if row["batch_size"] == size])
            ours = next(row for row in of_size if not row["is_peer"])
            peer = next(row for row in of_size if row["is_peer"])
            both = " / ".join(milliseconds(row["milliseconds"]["median"]) for row in (ours, peer))
            cells.append(f"{both}: {ratio(ours['ratio'])}")
        lines.append([str(summary["environment"]["threads"]), *cells])
    return table(["threads", *_size_columns(_rows(summaries[0], sizes))], lines)


def _runs(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    """Our ratios in several runs: one column for each batch size."""
    found: dict[str, dict[int, list[str]]] = {}
    for summary in summaries:
        for row in _rows(summary, sizes):
            if not row["is_peer"]:
                by_size = found.setdefault(f"`{row['contestant']} {row['mode']}`", {})
                by_size.setdefault(row["batch_size"], []).append(f"{row['ratio']['value']:.2f}")
    first = _rows(summaries[0], sizes)
    return table(
        ["contestant", *_size_columns(first)],
        [
            [name, *(", ".join(by_size.get(size, [])) for size in sizes_of(first))]
            for name, by_size in found.items()
        ],
    )


def _startup(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    """Startup, compilation, idle processor time, memory and errors."""
    (summary,) = summaries
    rows = [row for row in summary["contestants"] if not sizes or row["batch_size"] in sizes]
    return tables.startup([row for row in rows if row["status"] == "timed"])


def _batch_sizes(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    """Some of the sizes, and the largest rise among all."""
    (summary,) = summaries
    return [*tables.batch_sizes(_rows(summary, sizes)), "", *tables.largest_rise(summary["rows"])]


def _targets(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    del sizes
    (summary,) = summaries
    return tables.targets(summary["rows"])


def _overhead(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    (summary,) = summaries
    return tables.overhead(_rows(summary, sizes))


def _phases(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    """What the machine can do at best, and the phases by batch sizes."""
    (summary,) = summaries
    (peaks,) = summary["peaks"]
    rows = _rows(summary, sizes)
    cells: dict[str, list[str]] = {}
    for row in rows:
        cell = f"{milliseconds(row['milliseconds']['median'])}: {row['gflops']:.0f}"
        cells.setdefault(row["phase"], []).append(f"{cell} ({row['percent_of_peak']:.0f}%)")
    return [
        f"Kernels for {peaks['kernels']}; at best {peaks['gflops']:.0f} GFLOP/s, reading "
        f"{peaks['cache_gbps']:.0f} GB/s from 12 MB and {peaks['memory_gbps']:.0f} GB/s from 256 MB.",
        "",
        *table(["phase", *_size_columns(rows)], [[phase, *line] for phase, line in cells.items()]),
    ]


def _pictures(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    del sizes
    (summary,) = summaries
    return tables.pictures(summary["rows"])


def _app(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    del sizes
    (summary,) = summaries
    return tables.app(summary["rows"])


def _ranks(summaries: Sequence[Result], sizes: Sequence[int]) -> list[str]:
    del sizes
    (summary,) = summaries
    return tables.ranks(summary["rows"])


def _rows(summary: Result, sizes: Sequence[int]) -> Rows:
    """The rows of these batch sizes; of all where none is named."""
    return [row for row in summary["rows"] if not sizes or row["batch_size"] in sizes]


def _size_columns(rows: Rows) -> list[str]:
    return [f"{size:,} images" for size in sizes_of(rows)]


VIEWS: dict[str, View] = {
    "latency": _calls,
    "throughput": _throughput,
    "threads": _threads,
    "runs": _runs,
    "startup": _startup,
    "batch-sizes": _batch_sizes,
    "targets": _targets,
    "overhead": _overhead,
    "phases": _phases,
    "pictures": _pictures,
    "app": _app,
    "ranks": _ranks,
}
