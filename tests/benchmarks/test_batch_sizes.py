"""batch_sizes.py: neighbours meet the same machine, and every round begins elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import batch_sizes
from support import benchmarks


def test_every_batch_size_has_a_time_for_every_round(digits: Path, tmp_path: Path) -> None:
    options = ["--max-batch", "3", "--rounds", "2", "--images", "4"]
    run = benchmarks.run("batch_sizes.py", options, digits, tmp_path)
    assert run.status == 0
    assert (run.summary["schema"], run.summary["kind"]) == (3, "batch_sizes")
    assert run.summary["settings"] == {"device": "cpu", "rounds": 2, "images": 4, "dataset": "custom"}
    assert [(row["batch_size"], len(row["seconds"])) for row in run.raw["measured"]] == [
        (1, 2),
        (2, 2),
        (3, 2),
    ]
    assert [row["batch_size"] for row in run.summary["rows"]] == [1, 2, 3]
    for row in run.summary["rows"]:
        figures = row["microseconds_per_image"]
        assert 0 < figures["low"] <= figures["median"] <= figures["high"]
        assert f"| {row['batch_size']}     | {figures['median']:.1f}" in run.text
    assert "The largest rise from a size to the next: " in run.text


def test_batch_sizes_are_all_small_ones_and_those_around_powers_of_two() -> None:
    sizes = batch_sizes.sizes_up_to(4096)
    assert sizes == sorted(set(sizes))
    assert sizes[:41] == [*range(1, 41), 47]
    assert set(sizes) >= {2**k + offset for k in range(6, 12) for offset in (-1, 0, 1)} | {4095, 4096}
    assert sizes[-1] == 4096
    assert len([size for size in sizes if size % 2 == 1 and size > 65]) >= 10
    assert batch_sizes.sizes_up_to(65)[-3:] == [63, 64, 65]
    assert batch_sizes.sizes_up_to(1) == [1]


def test_neighbouring_sizes_are_visited_one_after_the_other_and_every_round_begins_elsewhere() -> None:
    sizes = list(range(1, 41))
    rounds = batch_sizes.orders(sizes, 5)
    assert rounds == batch_sizes.orders(sizes, 5)
    assert len({order[0] for order in rounds}) == 5
    for number, order in enumerate(rounds):
        assert sorted(order) == sizes
        steps = np.diff(order) % len(sizes)
        assert set(steps) == {1 if number % 2 == 0 else len(sizes) - 1}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--max-batch", "0"], "argument --max-batch: is 0, expected a whole number above 0"),
        (["--rounds", "0"], "argument --rounds: is 0, expected a whole number above 0"),
        (["--images", "-3"], "argument --images: is -3, expected a whole number above 0"),
        (["--threads", "100000"], "argument --threads: is 100000, but only "),
        (["--rounds", "many"], "argument --rounds: invalid positive value: 'many'"),
        (["--device", "gpu"], "argument --device: invalid choice: 'gpu'"),
    ],
)
def test_batch_sizes_refuses_bad_arguments(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        batch_sizes.parse(arguments)
    assert complaint in capsys.readouterr().err
