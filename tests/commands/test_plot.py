"""The picture of a run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mpsmnist
from mpsmnist.commands import plot
from mpsmnist.commands import train as cli
from mpsmnist.commands.plot import Mistake, save_plot, worst_mistakes
from mpsmnist.train import TrainConfig, train
from support.commands import Call
from support.datasets import small_dataset

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"
)


def test_worst_mistakes_come_first() -> None:
    probabilities = np.array(
        [[0.9, 0.1, 0.0], [0.3, 0.6, 0.1], [0.05, 0.05, 0.9], [0.4, 0.35, 0.25], [0.1, 0.2, 0.7]], np.float32
    )
    labels = np.array([0, 2, 0, 1, 2], np.uint8)
    expected = [(2, 0, 2, 0.9), (1, 2, 1, 0.6), (3, 1, 0, 0.4)]
    found = worst_mistakes(probabilities, labels, 10)
    assert [mistake[:3] for mistake in found] == [mistake[:3] for mistake in expected]
    assert [mistake.confidence for mistake in found] == pytest.approx([mistake[3] for mistake in expected])
    assert worst_mistakes(probabilities, labels, 1) == found[:1]
    assert worst_mistakes(probabilities[[0, 4]], labels[[0, 4]], 10) == []
    assert isinstance(found[0], Mistake)


@needs_matplotlib
def test_a_run_is_drawn_from_the_command_line(run_train: Call, tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    assert run_train("--steps", 6, "--plot", path, "--quiet") == (0, "", "")
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.width > 500
        assert len(image.convert("L").getcolors(256) or []) > 50  # curves, letters and grey digits


@needs_matplotlib
@pytest.mark.parametrize("steps", [1, 120])
def test_short_and_long_runs_are_drawn(tmp_path: Path, steps: int) -> None:
    data = small_dataset()
    result = train(TrainConfig(device="cpu", batch_size=1, steps=steps, eval_every=50), dataset=data)
    save_plot(tmp_path / "plot.png", result, data)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_matplotlib_is_reported_before_training(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plot, "find_spec", lambda _name: None)
    monkeypatch.setattr(cli, "load", lambda *_, **__: pytest.fail("the data were loaded first"))
    code, _, err = run_train("--plot", tmp_path / "plot.png")
    assert code == 1
    assert "pip install 'mpsmnist[plot]'" in err
    with pytest.raises(mpsmnist.Error, match="matplotlib"):
        plot.require_matplotlib()
