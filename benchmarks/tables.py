"""The figures of one batch size as text: Markdown tables, so that they can be pasted as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

MILLISECONDS = 1e3


def print_batch(batch: dict[str, Any], operation: str) -> None:
    """What ran, how fast; then what did not run, and why."""
    reports = batch["contestants"]
    timed = [report for report in reports if report["status"] == "timed"]
    if timed:
        print(f"\n## Batch {batch['batch_size']}, {operation}\n\nOne at a time, waiting for each answer:\n")
        _print_estimates(batch["sync"], operation, percentiles=True)
        if batch["throughput"]:
            print("\nThroughput, losses read at the end:\n")
            _print_estimates(batch["throughput"], operation, percentiles=False)
        print("\nBefore and beside that:\n")
        _print_rest(timed)
    for report in reports:
        if report["status"] != "timed":
            print(_absence(report))
    print(flush=True)


def _print_estimates(estimates: dict[str, Any], operation: str, *, percentiles: bool) -> None:
    tails = ["p90", "p99"] if percentiles else []
    print_table(
        ["contestant", f"ms/{operation}", *tails, "rounds' medians", "times the fastest peer's speed (95%)"],
        [
            [
                name,
                milliseconds(row["median"]),
                *(milliseconds(row[tail]) for tail in tails),
                f"{milliseconds(row['low'])} - {milliseconds(row['high'])}",
                _ratio(row["ratio"]),
            ]
            for name, row in sorted(estimates.items(), key=lambda item: item[1]["median"])
        ],
    )


def _print_rest(timed: list[dict[str, Any]]) -> None:
    print_table(
        [
            "contestant",
            "import s",
            "build s",
            "first call s",
            "warm-up s (calls)",
            "data ms/batch",
            "idle CPU",
            "error",
        ],
        [
            [
                report["name"],
                f"{report['import_seconds']:.2f}",
                f"{report['build_seconds']:.2f}",
                f"{report['first_step_seconds']:.2f}",
                f"{sum(report['warm_up_seconds']):.2f} ({len(report['warm_up_seconds'])})",
                milliseconds(float(np.median(report["preparation"]))),
                f"{max(report['idle_cpu']):.1%}",
                f"{max(report['worst_errors'].values()):.0e}",
            ]
            for report in timed
        ],
    )


def _ratio(ratio: dict[str, float] | None) -> str:
    if ratio is None:
        return "no peer"
    return f"{ratio['value']:.2f} ({ratio['low']:.2f} - {ratio['high']:.2f})"


def _absence(report: dict[str, Any]) -> str:
    if report["status"] == "missing":
        return f"- not installed: {report['name']}: {report['reason']}"
    return f"- {report['status'].upper()}, not timed: {report['name']}: {report['reason']}"


def milliseconds(seconds: float) -> str:
    """Milliseconds with three significant digits or so."""
    value = seconds * MILLISECONDS
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def print_table(header: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ["-" * width for width in widths]
    for row in [header, rule, *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
