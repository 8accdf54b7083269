"""The Python code of README.md and of the pages in docs works as it is written there."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from mpsmnist.predict import load_network
from mpsmnist.train import StepEvent
from support.checks import ROUNDING
from support.datasets import write_mnist
from support.pictures import drawing, save_weights, write_png
from support.ranks import needs_mpi

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
# Each once: README.md repeats what begins a page.
BLOCKS = list(
    dict.fromkeys(block for page in PAGES for block in PYTHON.findall(page.read_text(encoding="utf-8")))
)


@pytest.fixture
def displayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A folder with the files that the pages speak of, little data, and a notebook: what is shown there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPSMNIST_DATA_DIR", str(write_mnist(tmp_path)))
    save_weights(tmp_path / "fast.safetensors")
    write_png(tmp_path / "photo.jpg", drawing())
    shown: list[Any] = []

    def display(figure: object, display_id: bool) -> types.SimpleNamespace:
        assert display_id
        shown.append(figure)
        return types.SimpleNamespace(update=shown.append)

    notebook = types.SimpleNamespace(display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)  # type: ignore[arg-type]
    with mpl.rc_context({"backend": "agg"}):
        yield shown


def run(words: str) -> dict[str, Any]:
    """Run the block that has these words, and return its names."""
    [block] = [block for block in BLOCKS if words in block]
    names: dict[str, Any] = {}
    exec(compile(block.replace("range(300)", "range(30)"), words, "exec"), names)  # 300 take seconds
    return names


def test_there_is_no_block_that_is_not_run_here() -> None:
    assert len(BLOCKS) == 9


def test_pictures_are_read(displayed: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    run("read_pictures")
    assert capsys.readouterr().out.strip() in list("0123456789")


def test_a_script_of_ones_own_trains(displayed: list[Any], tmp_path: Path) -> None:
    names = run("mine.safetensors")
    assert names["trainer"].steps == 30
    assert names["loss"] < 1
    images = np.zeros((1, 784), np.uint8)
    saved = load_network(tmp_path / "mine.safetensors").trainer
    assert saved.predict(images).tolist() == names["trainer"].predict(images).tolist()


def test_weights_travel_to_pytorch_and_back(displayed: list[Any]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    assert tuple(run("to_module")["logits"].shape) == (2, 10)


def test_weights_travel_to_onnx(displayed: list[Any]) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    names = run("onnxruntime")
    expected = load_network("fast.safetensors").trainer.predict(names["images"])
    np.testing.assert_allclose(names["probabilities"], expected, rtol=0, atol=ROUNDING)


@needs_mpi
def test_a_loop_of_ones_own_on_several_ranks_trains(displayed: list[Any]) -> None:
    """Of which there is one here."""
    names = run("all_reduce")
    trainer = names["trainer"]
    assert trainer.steps == 30
    all_gather = run("def all_gather")["all_gather"]
    all_gather.__globals__.update(names)  # it comes next
    batch = names["digits"].train_images[:64], names["digits"].train_labels[:64]
    trainer.step(*batch, all_reduce=lambda part: None, all_gather=all_gather, global_batch_size=64)
    assert trainer.steps == 31


def test_the_loop_of_the_command_trains(displayed: list[Any]) -> None:
    assert run("print(result.test_accuracy)")["result"].steps > 0


def test_the_loss_is_plotted_as_it_falls(displayed: list[Any]) -> None:
    names = run("on_step=plot")
    steps = names["result"].steps
    assert len(names["losses"]) == steps
    assert displayed == [names["figure"]] * (1 + steps // 100)
    names["plot"](StepEvent(100, 0.5, 0.1))
    assert displayed[1:] == [names["figure"]] * (1 + steps // 100)
    [line] = names["axes"].lines
    assert list(line.get_ydata()) == names["losses"]


def test_a_cell_that_ends_with_a_page_shows_it(displayed: list[Any]) -> None:
    page = run("Page()")["page"]
    try:
        assert "<iframe" in page._repr_html_()
    finally:
        page.close()
