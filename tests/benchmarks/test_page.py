"""Tables drawn from summaries, whatever the results of today are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import page, summaries

ENVIRONMENT = {
    "date": "2026-01-02T03:04:05",
    "commit": "c0ffee",
    "cpu": "A CPU",
    "threads": 1,
    "python": "3.11",
    "versions": {"numpy": "2.0", "mpsmnist": "0.1"},
}


def write(path: Path, kind: str, rows: list[dict[str, Any]], **settings: Any) -> None:
    summary = {
        "schema": summaries.SCHEMA,
        "kind": kind,
        "command": f"python benchmarks/{kind}.py",
        "environment": ENVIRONMENT,
        "settings": settings,
        "rows": rows,
    }
    path.write_text(summaries.dump(summary))


def call(contestant: str, milliseconds: float, ratio: float) -> dict[str, Any]:
    return {
        "batch_size": 1000,
        "contestant": contestant,
        "is_peer": False,
        "mode": "step",
        "milliseconds": {"median": milliseconds},
        "ratio": {"value": ratio, "low": ratio - 0.5, "high": ratio + 0.5},
    }


def test_a_table_says_where_it_comes_from_and_what_ratios_are_to(tmp_path: Path) -> None:
    rows = [call("mpsmnist-gradients-cpu", 120.4, 1), call("mpsmnist-cpu", 99.5, 1.25)]
    write(tmp_path / "g.json", "latency", rows, operation="step", against="mpsmnist-gradients-cpu")
    assert page.draw("latency g", tmp_path).splitlines() == [
        "A CPU, 1 thread; 2026-01-02, commit c0ffee; Python 3.11, numpy 2.0, mpsmnist 0.1:",
        "`python benchmarks/latency.py`",
        "(ratios: times the speed of `mpsmnist-gradients-cpu`)",
        "",
        "| contestant               | 1,000 images              |",
        "| ------------------------ | ------------------------- |",
        "| `mpsmnist-cpu`           | 99.50: 1.25 (0.75 - 1.75) |",
        "| `mpsmnist-gradients-cpu` | 120: 1.00 (0.50 - 1.50)   |",
    ]


def test_overhead_is_drawn_for_the_sizes_that_are_named(tmp_path: Path) -> None:
    figures = {"median": 2.0, "low": 1.0, "high": 3.25}
    rows = [{"batch_size": size, "part": "call", "microseconds": figures} for size in (1, 16)]
    write(tmp_path / "o.json", "overhead", rows)
    *_, first, second, note = [line for line in page.draw("overhead o 16", tmp_path).splitlines() if line]
    assert first.startswith("| ----")
    assert second == "| 16    | 2.0 (1.0 - 3.2) |"
    assert note == "Microseconds per call: the median of the rounds (quartiles)."


def test_only_what_is_between_the_comments_changes(tmp_path: Path) -> None:
    write(tmp_path / "g.json", "latency", [call("mpsmnist-cpu", 1, 1)], operation="step", against=None)
    text = "Before.\n<!-- table: latency g -->\nold\n<!-- end -->\nAfter.\n"
    drawn = page.drawn_anew(text, tmp_path)
    assert drawn.startswith("Before.\n<!-- table: latency g -->\nA CPU, ")
    assert drawn.endswith(" |\n<!-- end -->\nAfter.\n")
    assert "old" not in drawn
    assert page.drawn_anew(drawn, tmp_path) == drawn


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("tables g", "no view 'tables'"),
        ("latency nothing-here", "names nothing-here: no summary"),
        ("latency", "names nothing: no summary"),
    ],
)
def test_a_table_of_nothing_is_refused(words: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=complaint):
        page.drawn_anew(f"<!-- table: {words} -->\n<!-- end -->\n", tmp_path)
