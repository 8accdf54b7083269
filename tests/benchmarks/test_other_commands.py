"""overhead.py, time_to_accuracy.py, phases.py, pictures.py and ranks.py, at their smallest."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from contestants import select
from support import benchmarks
from support.pictures import save_weights
from support.ranks import needs_mpi

PHASES_OUTPUT = """\
1 threads, kernels for avx2; at best 80 GFLOP/s, reading 40 GB/s from 12 MB, 20.5 GB/s from 256 MB

batch 2: ReLU lets 68% of pool0 and 74% of pool1 through
| phase | ms | GFLOP/s | of peak | GB/s | MB |
|---|---|---|---|---|---|
| fc0 forward | {milliseconds} | 40 | 50% | 10.3 | 13.1 |
| all | 2.000 | 30 | 38% | | |

"""


def test_overhead_has_every_part_of_a_step(digits: Path, tmp_path: Path) -> None:
    options = ["--batch-sizes", "1", "2", "--rounds", "2", "--steps", "2"]
    run = benchmarks.run("overhead.py", options, digits, tmp_path, plot=False)
    assert run.status == 0
    measured = ["call", "refused", "native", "step", "step, float32", "augment", "augmented"]
    assert [list(batch["seconds"]) for batch in run.raw["measured"]] == [measured, measured]
    for size in (1, 2):
        rows = run.rows(batch_size=size)
        derived = ["step - native", "float32 - bytes", "augmented / native"]
        assert [row["part"] for row in rows] == [*measured, *derived]
        figures = [*(row["microseconds"] for row in rows[:-1]), rows[-1]["ratio"]]
        assert all(figure["low"] <= figure["high"] for figure in figures)
    assert "| step - native" in run.text
    assert "| augmented / native" in run.text


def test_time_to_accuracy_runs_both_and_says_never_of_what_was_not_reached(
    digits: Path, tmp_path: Path
) -> None:
    if not all(entry.installed for entry in select(["torch"], "cpu")):
        pytest.skip("PyTorch is not installed")
    options = ["--seeds", "1", "--recipes", "3:0,101", "--evaluations", "2"]
    run = benchmarks.run("time_to_accuracy.py", options, digits, tmp_path)
    assert run.status == 0
    rows = {(row["contestant"], row["target"]): row for row in run.summary["rows"]}
    assert list(rows) == [("mpsmnist", 0), ("torch", 0), ("mpsmnist", 101), ("torch", 101)]
    for name in ("mpsmnist", "torch"):
        assert rows[name, 0]["reached"] == 1
        assert rows[name, 0]["seconds"]["median"] > 0
        assert rows[name, 101]["reached"] == 0
        assert rows[name, 101]["steps"] == {"median": None, "low": None, "high": None}
    ours, theirs = ([step for step, _, _ in curve["points"]] for curve in run.summary["curves"])
    assert ours == theirs
    assert "never (never - never)" in run.text


def test_phases_are_the_medians_of_what_the_programme_prints(digits: Path, tmp_path: Path) -> None:
    program, count = tmp_path / "program", tmp_path / "count"
    lines = [
        "#!/bin/sh",
        f"echo \"$2 $3\" >> '{count}'",
        f"milliseconds=$(wc -l < '{count}')",
        f"cat <<END\n{PHASES_OUTPUT.format(milliseconds='$milliseconds')}END",
    ]
    program.write_text("\n".join(lines) + "\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    options = ["--program", str(program), "--batch-sizes", "2", "--repeats", "3"]
    run = benchmarks.run("phases.py", options, digits, tmp_path, plot=False)
    assert run.status == 0
    assert count.read_text() == "1 2\n" * 3  # threads and batch sizes
    assert run.summary["rows"] == [
        {
            "batch_size": 2,
            "phase": "fc0 forward",
            "milliseconds": {"median": 2.0, "low": 1.0, "high": 3.0},
            "gflops": 40.0,
            "percent_of_peak": 50.0,
            "gigabytes_per_second": 10.3,
            "megabytes": 13.1,
        },
        {
            "batch_size": 2,
            "phase": "all",
            "milliseconds": {"median": 2.0, "low": 2.0, "high": 2.0},
            "gflops": 30.0,
            "percent_of_peak": 38.0,
            "gigabytes_per_second": None,
            "megabytes": None,
        },
    ]
    peaks = {"kernels": "avx2", "gflops": 80.0, "cache_gbps": 40.0, "memory_gbps": 20.5}
    assert run.summary["peaks"] == [peaks]
    assert "| fc0 forward | 2.00 " in run.text


def test_pictures_are_counted_by_kind_and_shown(digits: Path, tmp_path: Path) -> None:
    save_weights(tmp_path / "run.safetensors")
    sheet = tmp_path / "sheet.png"
    options = ["--checkpoint", str(tmp_path / "run.safetensors"), "--contact-sheet", str(sheet)]
    options += ["--pictures", "3", "--kinds", "as_mnist", "two_digits", "blank_canvas"]
    run = benchmarks.run("pictures.py", options, digits, tmp_path, plot=False)
    assert run.status == 0
    rows = {row["kind"]: row for row in run.summary["rows"]}
    assert [row["sort"] for row in rows.values()] == ["clean", "no digit", "no digit"]
    answers = {kind["kind"]: kind["answers"] for kind in run.raw["measured"]}
    assert [digit for digit, _, _ in answers["as_mnist"]] == [0, 1, 2]
    assert answers["blank_canvas"] == [[None, None, "refused"]] * 3
    assert rows["blank_canvas"]["read_percent"] is None
    assert rows["blank_canvas"]["unsure_percent"] == 100
    assert "| blank canvas" in run.text
    assert str(tmp_path) not in run.summary["command"]
    assert sheet.read_bytes().startswith(b"\x89PNG")


@needs_mpi
def test_ranks_makes_steps_in_every_way(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(digits.parent)
    options = ["--ranks", "1", "2", "--rounds", "1", "--steps", "1", "--batch-size", "2"]
    run = benchmarks.run("ranks.py", options, Path(digits.name), tmp_path, plot=False)
    assert run.status == 0
    ways = ["alone", "gradients", "summed after", "summed meanwhile", "factors"]
    assert [(row["ranks"], row["way"]) for row in run.summary["rows"]] == [
        (n, w) for n in (1, 2) for w in ways
    ]
    # All parameters but fc0.weight's, half of them twice, and two images' factors; or all parameters.
    fewer = 4 * (3_274_634 - 3136 * 1024) + 2 * 4 * (3136 + 1024)
    sent = {(row["ranks"], row["way"]): row["bytes_sent"] for row in run.summary["rows"]}
    assert sent[2, "factors"] == pytest.approx(fewer, rel=1e-4)
    assert sent[2, "summed after"] == pytest.approx(4 * 3_274_634, rel=1e-4)
    assert sent[2, "alone"] == 0
    assert "13.1 MB" in run.text
    assert "| ranks | images each |" in run.text
