"""From raw times to summaries: the figures that are kept, shown and drawn.

Raw results and summaries are JSON objects that differ in one thing: `measured`, which holds every time in
seconds, or every answer, becomes `rows` (and whatever else a kind has).

    schema       the version of this format
    kind         the command without .py: latency, batch_sizes, time_to_accuracy, overhead, phases
                 pictures, app or ranks
    command      as it was called, without paths
    environment  date, commit, CPU, threads, versions
    settings     what was asked for
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import estimates
from .estimates import Rounds

SCHEMA = 3
SIGNIFICANT_DIGITS = 6
PERCENT = 100
MILLISECONDS = 1e3
MICROSECONDS = 1e6
MEGABYTE = 1e6

Result = dict[str, Any]
Rows = list[dict[str, Any]]
Times = dict[tuple[str, str], Rounds]  # by contestant and mode


def summarize(raw: Result) -> Result:
    """The summary of a raw result."""
    makers: dict[str, Callable[[Rows, Result], dict[str, Rows]]] = {
        "latency": _latency,
        "batch_sizes": _batch_sizes,
        "time_to_accuracy": _time_to_accuracy,
        "overhead": _overhead,
        "phases": _phases,
        "pictures": _pictures,
        "app": _app,
        "ranks": _ranks,
    }
    summary = {key: value for key, value in raw.items() if key != "measured"}
    rounded: Result = _rounded(summary | makers[raw["kind"]](raw["measured"], raw["settings"]))
    return rounded


def dump(summary: Result) -> str:
    """JSON with one line for each row."""
    entries = []
    for key, value in summary.items():
        if isinstance(value, list):
            lines = ",\n".join(f"  {json.dumps(row)}" for row in value)
            entries.append(f" {json.dumps(key)}: [\n{lines}\n ]")
        else:
            entries.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def read(path: Path) -> Result:
    """The summary in a file."""
    summary: Result = json.loads(path.read_text("utf-8"))
    if summary.get("schema") != SCHEMA:
        raise ValueError(f"{path.name} has schema {summary.get('schema')!r}, expected {SCHEMA}")
    return summary


def _latency(measured: Rows, settings: Result) -> dict[str, Rows]:
    """A row for each batch size, contestant and mode, and what else is known of each contestant."""
    rows: Rows = []
    contestants: Rows = []
    for batch in measured:
        size = {"batch_size": batch["batch_size"]}
        reports = batch["contestants"]
        is_peer = {report["name"]: report["is_peer"] for report in reports}
        times = _times(reports, settings["operation"])
        ratios = _ratios(times, reports, settings)
        for (contestant, mode), rounds in times.items():
            ratio = ratios.get((contestant, mode))
            rows.append(
                size
                | {"contestant": contestant, "is_peer": is_peer[contestant], "mode": mode}
                | {"milliseconds": _scaled(estimates.spread(rounds), MILLISECONDS)}
                | {"ratio": ratio and ratio._asdict()}
            )
        contestants += [size | _contestant(report, batch["tolerance"]) for report in reports]
    return {"rows": rows, "contestants": contestants}


def _times(reports: Rows, operation: str) -> Times:
    """Seconds per call: the operation itself, one call at a time, then the throughput modes."""
    timed = [report for report in reports if report["status"] == "timed"]
    alone: Times = {(report["name"], operation): report["sync"] for report in timed}
    together: Times = {
        (report["name"], mode): rounds for report in timed for mode, rounds in report["throughput"].items()
    }
    return alone | together


def _ratios(times: Times, reports: Rows, settings: Result) -> dict[tuple[str, str], estimates.Ratio]:
    """To the fastest peer, throughput apart from single calls; or to --against, each mode to its own."""
    operation, against = settings["operation"], settings["against"]
    references = {report["name"] for report in reports if report["is_peer"]} if against is None else {against}
    groups: dict[str, Times] = {}
    for (contestant, mode), rounds in times.items():
        group = mode if against is not None or mode == operation else "throughput"
        groups.setdefault(group, {})[contestant, mode] = rounds
    ratios: dict[tuple[str, str], estimates.Ratio] = {}
    for group_times in groups.values():
        ratios |= estimates.ratios_to_fastest(
            group_times, [key for key in group_times if key[0] in references]
        )
    return ratios


def _contestant(report: dict[str, Any], tolerance: float) -> dict[str, Any]:
    """What else is known of a contestant; None where it never got that far."""
    peak = report.get("peak_bytes")
    return {
        "contestant": report["name"],
        "is_peer": report["is_peer"],
        "status": report["status"],
        "reason": report["reason"],
        "import_seconds": report["import_seconds"],
        "build_seconds": report["build_seconds"],
        "first_call_seconds": report["first_step_seconds"],
        "warm_up_seconds": sum(report["warm_up_seconds"]),
        "warm_up_calls": len(report["warm_up_seconds"]),
        "data_milliseconds": _or_none(
            lambda times: MILLISECONDS * float(np.median(times)), report["preparation"]
        ),
        "idle_cores": _or_none(max, report["idle_cpu"]),
        "peak_megabytes": None if peak is None else round(peak / MEGABYTE),
        "worst_error": _or_none(lambda errors: max(errors.values()), report["worst_errors"]),
        "tolerance": tolerance,
    }


def _batch_sizes(measured: Rows, settings: Result) -> dict[str, Rows]:
    """For each size, in ascending order: microseconds per image, and how many times those of the size before.

    Low and high are the fastest and the slowest round. The comparison is the median of the rounds' own.
    """
    del settings
    rows: Rows = []
    before: list[float] | None = None
    for visits in measured:
        per_image = [MICROSECONDS * seconds / visits["batch_size"] for seconds in visits["seconds"]]
        times = [now / then for now, then in zip(per_image, before or per_image, strict=True)]
        rows.append(
            {
                "batch_size": visits["batch_size"],
                "microseconds_per_image": _median_and_range(per_image),
                "times_the_size_before": float(np.median(times)) if before else None,
            }
        )
        before = per_image
    return {"rows": rows}


def _time_to_accuracy(measured: Rows, settings: Result) -> dict[str, Rows]:
    """For each recipe, target and contestant when the target was reached; and the curve of each run.

    A run that never reached it counts as infinitely slow.
    """
    rows: Rows = []
    for recipe in settings["recipes"]:
        runs = [run for run in measured if run["epochs"] == recipe["epochs"]]
        for target in recipe["targets"]:
            for name in dict.fromkeys(run["contestant"] for run in runs):
                curves = [run["evaluations"] for run in runs if run["contestant"] == name]
                firsts = [
                    next((p for p in curve if PERCENT * p["accuracy"] >= target), None) for curve in curves
                ]
                rows.append(
                    {
                        "epochs": recipe["epochs"],
                        "target": target,
                        "contestant": name,
                        "runs": len(curves),
                        "reached": sum(map(bool, firsts)),
                        "seconds": _interval_of_firsts(firsts, "seconds"),
                        "steps": _interval_of_firsts(firsts, "step"),
                    }
                )
    curve_rows = [
        {key: run[key] for key in ("epochs", "contestant", "seed")}
        | {"points": [[p["step"], p["seconds"], p["accuracy"]] for p in run["evaluations"]]}
        for run in measured
    ]
    return {"rows": rows, "curves": curve_rows}


def _interval_of_firsts(firsts: Sequence[dict[str, Any] | None], key: str) -> dict[str, float]:
    values = [first[key] if first else math.inf for first in firsts]
    return dict(zip(("median", "low", "high"), estimates.median_interval(values), strict=True))


def _overhead(measured: Rows, settings: Result) -> dict[str, Rows]:
    """Microseconds per call of the parts and of differences, and a ratio: medians and quartiles of rounds."""
    del settings
    rows: Rows = []
    for batch in measured:
        seconds = {part: np.array(values) for part, values in batch["seconds"].items()}
        seconds["step - native"] = seconds["step"] - seconds["native"]
        seconds["float32 - bytes"] = seconds["step, float32"] - seconds["step"]
        size = {"batch_size": batch["batch_size"]}
        for part, values in seconds.items():
            rows.append({**size, "part": part, "microseconds": _quartiles(MICROSECONDS * values)})
        ratios = seconds["augmented"] / seconds["native"]
        rows.append({**size, "part": "augmented / native", "ratio": _quartiles(ratios)})
    return {"rows": rows}


def _ranks(measured: Rows, settings: Result) -> dict[str, Rows]:
    """Milliseconds of a step by number of ranks and way, its efficiency, and the bytes that a rank sends.

    Times and efficiency are medians and quartiles of rounds. Efficiency is the speed per rank, in images per
    second, over that of one rank that trains alone.
    """
    del settings
    (one,) = (each for each in measured if each["ranks"] == 1)
    alone = np.array(one["seconds"]["alone"]) / one["batch_size"]
    rows: Rows = []
    for each in measured:
        for way, values in each["seconds"].items():
            seconds = np.array(values)
            rows.append(
                {"ranks": each["ranks"], "batch_size": each["batch_size"], "way": way}
                | {"milliseconds": _quartiles(MILLISECONDS * seconds), "bytes_sent": each["bytes"][way]}
                | {"efficiency_percent": _quartiles(PERCENT * alone / (seconds / each["batch_size"]))}
            )
    return {"rows": rows}


def _quartiles(values: NDArray[np.float64]) -> dict[str, float]:
    low, median, high = (float(value) for value in np.percentile(values, (25, 50, 75)))
    return {"median": median, "low": low, "high": high}


def _phases(measured: Rows, settings: Result) -> dict[str, Rows]:
    """For each batch size and phase the medians over the repeats, the range of the times, and the peaks."""
    del settings
    rows: Rows = []
    for size, phase in dict.fromkeys((row["batch_size"], row["phase"]) for row in measured):
        repeats = [row for row in measured if (row["batch_size"], row["phase"]) == (size, phase)]
        milliseconds = _median_and_range([row["milliseconds"] for row in repeats])
        others = [key for key in repeats[0] if key not in ("batch_size", "phase", "milliseconds", "peaks")]
        medians = {
            key: _or_none(np.median, [row[key] for row in repeats if row[key] is not None]) for key in others
        }
        rows.append({"batch_size": size, "phase": phase, "milliseconds": milliseconds, **medians})
    best = max((row["peaks"] for row in measured), key=lambda peaks: float(peaks["gflops"]))
    return {"rows": rows, "peaks": [best]}


def _pictures(measured: Rows, settings: Result) -> dict[str, Rows]:
    """For each kind how many of 100 pictures were read (None: no digits), and how many answers are unsure."""
    del settings
    rows: Rows = []
    for kind in measured:
        answers = kind["answers"]
        right = [answer == digit for digit, answer, _ in answers if digit is not None]
        unsure = [reason is not None for _, _, reason in answers]
        rows.append(
            {"kind": kind["kind"], "sort": kind["sort"], "pictures": len(answers)}
            | {"read_percent": _or_none(_percent, right), "unsure_percent": _percent(unsure)}
        )
    return {"rows": rows}


def _app(measured: Rows, settings: Result) -> dict[str, Rows]:
    """Milliseconds from a stroke to its bars, seconds of runs, and their ratios to those of train() alone."""
    del settings
    rows: Rows = []
    runs = {
        (part["cores"], part["how"]): np.array(part["seconds"]) for part in measured if part["what"] == "run"
    }
    for part in measured:
        row = {key: value for key, value in part.items() if isinstance(value, (str, int))}
        if part["what"] == "run":
            cores, seconds = part["cores"], np.array(part["seconds"])
            row |= {"seconds": _quartiles(seconds), "ratio": _quartiles(seconds / runs[cores, "alone"])}
            if "browser_seconds" in part:
                row["browser_load"] = _quartiles(np.array(part["browser_seconds"]) / seconds)
        else:
            row |= {name: _median_and_p95(part[name]) for name in ("bars", "frames")}
            row["strokes"] = len(part["bars"])
        rows.append(row)
    return {"rows": rows}


def _median_and_p95(values: Sequence[float]) -> dict[str, float]:
    median, p95 = (float(value) for value in np.percentile(values, (50, 95)))
    return {"median": median, "p95": p95}


def _percent(values: Sequence[bool]) -> float:
    return PERCENT * float(np.mean(values))


def _median_and_range(values: Sequence[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "low": min(values), "high": max(values)}


def _scaled(spread: estimates.Spread, factor: float) -> dict[str, float]:
    return {name: factor * value for name, value in spread._asdict().items()}


def _or_none(figure: Callable[[Any], Any], values: Any) -> float | None:
    """The figure of some values; None of none."""
    return float(figure(values)) if values else None


def _rounded(value: Any) -> Any:
    """The same with floats of a few significant digits (the rest is noise), None for those not finite."""
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    return value
