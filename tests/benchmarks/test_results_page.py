"""RESULTS.md says what the summaries say, and the summaries are of one schema."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import results
from harness import page, plots, summaries

FILES = sorted(results.SUMMARIES.glob("*.json"))


@pytest.fixture(autouse=True)
def needs_results() -> None:
    if not FILES:
        pytest.skip("no results here: an sdist leaves them out")


def test_the_tables_of_the_page_are_those_of_the_summaries(capsys: pytest.CaptureFixture[str]) -> None:
    text = results.PAGE.read_text("utf-8")
    assert page.drawn_anew(text, results.SUMMARIES) == text, "run python benchmarks/results.py --write"
    assert results.main([]) == 0
    assert capsys.readouterr().out == text


def test_a_figure_changed_by_hand_is_noticed() -> None:
    text = results.PAGE.read_text("utf-8")
    figure = re.search(r"`mpsmnist-cpu` +\| (\d+\.\d+):", text)
    assert figure is not None
    changed = text.replace(figure[0], figure[0].replace(figure[1], "0.01"), 1)
    assert page.drawn_anew(changed, results.SUMMARIES) == text


def test_every_summary_has_its_table() -> None:
    shown = {
        name for words in page.TABLE.findall(results.PAGE.read_text("utf-8")) for name in words[1].split()
    }
    assert {path.stem for path in FILES} <= shown


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_summaries_are_small_and_complete(path: Path) -> None:
    summary = summaries.read(path)
    assert list(summary)[:6] == ["schema", "kind", "command", "environment", "settings", "rows"]
    keys = {"date", "commit", "cpu", "usable_cpus", "threads", "os", "python", "versions"}
    assert set(summary["environment"]) == keys
    assert summary["rows"]
    assert path.read_text("utf-8") == summaries.dump(summary)
    assert len(path.read_text("utf-8").splitlines()) < 100


def test_every_picture_can_be_drawn_from_its_summary(tmp_path: Path) -> None:
    pictures = sorted(results.SUMMARIES.glob("*.png"))
    assert pictures
    for picture in pictures:
        assert f"results/{picture.name}" in results.PAGE.read_text("utf-8")
        plots.draw(summaries.read(picture.with_suffix(".json")), tmp_path / picture.name)
        assert (tmp_path / picture.name).read_bytes().startswith(b"\x89PNG")
