"""From raw times to the figures that are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import command, estimates, summaries

ENVIRONMENT = {"date": "2026-01-02", "commit": "c0ffee", "cpu": "a CPU", "threads": 1, "versions": {}}


def raw(kind: str, measured: list[dict[str, Any]], **settings: Any) -> dict[str, Any]:
    return {
        "schema": summaries.SCHEMA,
        "kind": kind,
        "command": "python",
        "environment": ENVIRONMENT,
        "settings": settings,
        "measured": measured,
    }


def report(name: str, sync: list[list[float]], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "is_peer": not name.startswith("mpsmnist"),
        "status": "timed",
        "reason": "",
        "import_seconds": 1.0,
        "build_seconds": 2.0,
        "first_step_seconds": 3.0,
        "warm_up_seconds": [1.0, 2.0],
        "worst_errors": {"step": 1e-7, "run": 3e-7},
        "sync": sync,
        "throughput": {},
        "preparation": [0.001, 0.003],
        "idle_cpu": [0.1, 0.4],
        "peak_bytes": 123_400_000,
    } | more


def latency(*reports: dict[str, Any], against: str | None = None) -> dict[str, Any]:
    batch = {"batch_size": 16, "tolerance": 1e-5, "contestants": list(reports)}
    return summaries.summarize(raw("latency", [batch], operation="step", against=against))


def test_latency_has_milliseconds_of_all_steps_and_of_rounds() -> None:
    (row,) = latency(report("mpsmnist-cpu", [[0.001, 0.002, 0.003], [0.004, 0.006]]))["rows"]
    assert row["milliseconds"] == pytest.approx({"median": 3, "p90": 5.2, "p99": 5.92, "low": 2, "high": 5})
    assert (row["batch_size"], row["contestant"], row["mode"], row["ratio"]) == (
        16,
        "mpsmnist-cpu",
        "step",
        None,
    )


def test_what_else_is_known_of_a_contestant() -> None:
    failed = report(
        "mlx-cpu", [], status="failed", reason="it died", preparation=[], idle_cpu=[], worst_errors={}
    )
    ours, other = latency(report("mpsmnist-cpu", [[0.001]]), failed)["contestants"]
    assert ours == {
        "batch_size": 16,
        "contestant": "mpsmnist-cpu",
        "is_peer": False,
        "status": "timed",
        "reason": "",
        "import_seconds": 1.0,
        "build_seconds": 2.0,
        "first_call_seconds": 3.0,
        "warm_up_seconds": 3.0,
        "warm_up_calls": 2,
        "data_milliseconds": 2.0,
        "idle_cores": 0.4,
        "peak_megabytes": 123,
        "worst_error": 3e-7,
        "tolerance": 1e-5,
    }
    assert (other["status"], other["reason"], other["idle_cores"]) == ("failed", "it died", None)


def test_ratios_are_to_the_fastest_peer_and_throughput_is_apart() -> None:
    ours = report("mpsmnist-cpu", [[0.001]], throughput={"run": [[0.0005]]})
    slow = report("numpy-cpu", [[0.008]], throughput={"loop": [[0.008]]})
    fast = report("torch-cpu", [[0.004]], throughput={"queued": [[0.002]]})
    rows = latency(ours, slow, fast)["rows"]
    assert {(row["contestant"], row["mode"]): row["ratio"]["value"] for row in rows} == {
        ("mpsmnist-cpu", "step"): 4,
        ("mpsmnist-cpu", "run"): 4,
        ("numpy-cpu", "step"): 0.5,
        ("numpy-cpu", "loop"): 0.25,
        ("torch-cpu", "step"): 1,
        ("torch-cpu", "queued"): 1,
    }


def test_ratios_against_a_contestant_compare_each_mode_with_its_own() -> None:
    ours = report("mpsmnist-cpu", [[0.001]], throughput={"run": [[0.0005]]})
    before = report("mpsmnist-cpu@before", [[0.0015]], throughput={"run": [[0.002]]})
    peer = report("torch-cpu", [[0.003]], throughput={"queued": [[0.003]]})
    rows = latency(ours, before, peer, against="mpsmnist-cpu@before")["rows"]
    ratios = {(row["contestant"], row["mode"]): row["ratio"] and row["ratio"]["value"] for row in rows}
    assert ratios == {
        ("mpsmnist-cpu", "step"): 1.5,
        ("mpsmnist-cpu", "run"): 4,
        ("mpsmnist-cpu@before", "step"): 1,
        ("mpsmnist-cpu@before", "run"): 1,
        ("torch-cpu", "step"): 0.5,
        ("torch-cpu", "queued"): None,
    }


def test_ratio_of_known_times() -> None:
    times = {"ours": [[1.0, 1.0, 9.0], [2.0]], "slow": [[8.0], [16.0]], "fast": [[4.0], [8.0]]}
    ratios = estimates.ratios_to_fastest(times, ["slow", "fast"])
    assert {name: ratio.value for name, ratio in ratios.items()} == {"ours": 4.0, "slow": 0.5, "fast": 1.0}
    # Both rounds say the same, so resampling rounds (the same ones for everybody) must not move the ratio.
    assert all(ratio.low == ratio.value == ratio.high for ratio in ratios.values())
    assert estimates.ratios_to_fastest(times, []) == {}


def test_sizes_are_compared_within_rounds() -> None:
    # The second round ran on a machine half as fast, and the third saw size 4 alone disturbed.
    seconds = {4: [4e-6, 8e-6, 40e-6], 5: [10e-6, 20e-6, 10e-6]}
    measured = [{"batch_size": size, "seconds": times} for size, times in seconds.items()]
    first, second = summaries.summarize(raw("batch_sizes", measured))["rows"]
    assert first["microseconds_per_image"] == pytest.approx({"median": 2, "low": 1, "high": 10})
    assert second["microseconds_per_image"] == pytest.approx({"median": 2, "low": 2, "high": 4})
    assert first["times_the_size_before"] is None
    assert second["times_the_size_before"] == pytest.approx(2)


def test_a_target_is_reached_at_the_first_evaluation_that_shows_it() -> None:
    def run(seed: int, *accuracies: float) -> dict[str, Any]:
        points = [{"step": 10 * i, "seconds": float(i), "accuracy": a} for i, a in enumerate(accuracies, 1)]
        return {"epochs": 1.0, "contestant": "mpsmnist", "seed": seed, "evaluations": points}

    runs = [run(0, 0.5, 0.98, 0.97, 0.99), run(1, 0.98, 0.98, 0.98, 0.98), run(2, 0.1, 0.2, 0.98, 0.1)]
    recipes = [{"epochs": 1.0, "targets": [98.0, 99.0]}]
    summary = summaries.summarize(raw("time_to_accuracy", runs, recipes=recipes))
    easy, hard = summary["rows"]
    assert (easy["reached"], easy["runs"]) == (3, 3)
    assert easy["seconds"] == {"median": 2.0, "low": 1.0, "high": 3.0}
    assert easy["steps"] == {"median": 20.0, "low": 10.0, "high": 30.0}
    assert (hard["reached"], hard["seconds"]) == (1, {"median": None, "low": 4.0, "high": None})
    assert summary["curves"][0]["points"][1] == [20, 2.0, 0.98]


def test_overhead_is_the_median_of_the_rounds_differences() -> None:
    seconds = {"native": [1e-6, 5e-6, 2e-6], "step": [2e-6, 7e-6, 5e-6], "step, float32": [1e-6, 1e-6, 1e-6]}
    seconds["augmented"] = [2e-6, 5e-6, 3e-6]
    rows = summaries.summarize(raw("overhead", [{"batch_size": 8, "seconds": seconds}]))["rows"]
    assert rows.pop()["ratio"] == {"median": 1.5, "low": 1.25, "high": 1.75}
    found = {row["part"]: row["microseconds"] for row in rows}
    assert found["step - native"] == pytest.approx({"median": 2, "low": 1.5, "high": 2.5})
    assert found["float32 - bytes"]["median"] == pytest.approx(-4)


def test_efficiency_compares_with_one_rank_alone_in_the_same_round() -> None:
    seconds = [{"alone": [1e-3, 4e-3], "summed after": [2e-3, 4e-3]}, {"alone": [1e-3, 2e-3]}]
    measured = [
        {"ranks": 1, "batch_size": 8, "seconds": seconds[0], "bytes": {"alone": 0, "summed after": 64}},
        {"ranks": 4, "batch_size": 2, "seconds": seconds[1], "bytes": {"alone": 0}},
    ]
    rows = summaries.summarize(raw("ranks", measured))["rows"]
    assert [(row["ranks"], row["way"]) for row in rows] == [(1, "alone"), (1, "summed after"), (4, "alone")]
    assert rows[1]["milliseconds"]["median"] == pytest.approx(3)
    assert [row["bytes_sent"] for row in rows] == [0, 64, 0]
    assert rows[1]["efficiency_percent"] == pytest.approx({"median": 75, "low": 62.5, "high": 87.5})
    assert rows[2]["efficiency_percent"]["median"] == pytest.approx(100 * (0.25 + 0.5) / 2)


def test_summaries_hold_no_raw_times_and_few_digits() -> None:
    raw_result = raw("batch_sizes", [{"batch_size": 3, "seconds": [1.23456789e-3]}], rounds=1)
    summary = summaries.summarize(raw_result)
    assert "measured" not in summary
    assert {key: summary[key] for key in ("schema", "kind", "command", "environment", "settings")} == {
        key: value for key, value in raw_result.items() if key != "measured"
    }
    assert summary["rows"][0]["microseconds_per_image"]["median"] == 411.523


def test_a_summary_is_written_a_row_a_line_and_read_back(tmp_path: Path) -> None:
    measured = [{"batch_size": size, "seconds": [1e-3, 2e-3]} for size in (1, 2, 3)]
    summary = summaries.summarize(raw("batch_sizes", measured))
    text = summaries.dump(summary)
    assert json.loads(text) == summary
    assert sum(line.startswith('  {"batch_size"') for line in text.splitlines()) == 3
    (tmp_path / "x.json").write_text(text)
    assert summaries.read(tmp_path / "x.json") == summary
    (tmp_path / "old.json").write_text('{"schema": 2}')
    with pytest.raises(ValueError, match=r"old\.json has schema 2, expected 3"):
        summaries.read(tmp_path / "old.json")


def test_paths_of_this_machine_are_left_out_of_the_command() -> None:
    arguments = [
        "--python",
        "before=/a/b",
        "--output",
        "/x.json",
        "--raw-dir=/r",
        "--json",
        "y",
        "--rounds",
        "3",
    ]
    arguments += ["--data-dir", "/d", "--plot", "p.png", "--program", "/p", "--peers", "a b"]
    public = command.public_command("benchmarks/latency.py", arguments)
    assert public == "python benchmarks/latency.py --python before=... --rounds 3 --peers 'a b'"


def test_of_digits_the_right_answers_are_counted_and_of_all_pictures_the_unsure_ones() -> None:
    digits = {
        "kind": "ruled",
        "sort": "photo",
        "answers": [[7, 7, None], [7, 1, "so"], [7, None, "refused"], [2, 2, "so"]],
    }
    others = {"kind": "noise", "sort": "no digit", "answers": [[None, 3, None], [None, None, "refused"]]}
    assert summaries.summarize(raw("pictures", [digits, others]))["rows"] == [
        {"kind": "ruled", "sort": "photo", "pictures": 4, "read_percent": 50.0, "unsure_percent": 75.0},
        {"kind": "noise", "sort": "no digit", "pictures": 2, "read_percent": None, "unsure_percent": 50.0},
    ]


def test_what_the_page_costs_is_of_the_time_alone_in_the_same_round_on_the_same_cores() -> None:
    strokes = {"what": "stroke", "how": "trained", "bars": [1.0, 2.0, 3.0], "frames": [11.0, 12.0, 13.0]}
    runs = [
        {"what": "run", "cores": cores, "threads": 1, "how": how, "seconds": seconds}
        for cores, how, seconds in [
            ("shared", "alone", [1.0, 2.0, 4.0]),
            ("shared", "watched", [2.0, 2.0, 6.0]),
            ("browser apart", "alone", [3.0, 3.0, 3.0]),
            ("browser apart", "watched", [3.0, 3.0, 6.0]),
        ]
    ]
    runs[1]["browser_seconds"] = [0.2, 0.4, 0.6]
    stroke, _, watched, _, apart = summaries.summarize(raw("app", [strokes, *runs]))["rows"]
    assert (stroke["bars"]["median"], stroke["frames"]["median"], stroke["strokes"]) == (2, 12, 3)
    assert watched["ratio"] == {"median": 1.5, "low": 1.25, "high": 1.75}
    assert watched["browser_load"] == pytest.approx({"median": 0.1, "low": 0.1, "high": 0.15})
    assert apart["ratio"] == {"median": 1, "low": 1, "high": 1.5}
    assert "browser_load" not in apart
