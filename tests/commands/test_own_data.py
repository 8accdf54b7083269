"""Training on data of the user's own, from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mpsmnist.checkpoint import load
from mpsmnist.train import main
from support.commands import json_lines
from support.datasets import write_idx, write_mnist

USUAL = ["--batch-size", "2", "--device", "cpu", "--threads", "1", "--json"]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPSMNIST_DATA_DIR", raising=False)


def test_folders_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label, name in enumerate(("cat", "dog", "eel")):
        (tmp_path / name).mkdir()
        for number in range(6):
            picture = np.zeros((40, 40), np.uint8)
            picture[10 * label : 10 * label + 10, 4 * number : 20 + 4 * number] = 250
            Image.fromarray(255 - picture).save(tmp_path / name / f"{number}.png")
    arguments = [*USUAL, "--steps", "3", "--data-dir", str(tmp_path)]
    assert main(arguments) == 1
    assert "cat/0.png: 40 x 40 pixels, expected 28 x 28: --resize" in capsys.readouterr().err
    assert main([*arguments, "--resize"]) == 0
    out, err = capsys.readouterr()
    assert json_lines(out)[-1]["dataset"] == "custom"
    assert "custom: 15 training images and 3 test images of 3 classes\n" in err
    assert "train: 18 of the 18 images are dark on light: all are inverted" in err
    assert "train: there are no test files: 3 of the 18 images, one sixth of each class" in err


def test_a_resumed_run_needs_no_more_than_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, path = tmp_path / "data", tmp_path / "run.safetensors"
    data.mkdir()
    write_mnist(data)
    images = np.zeros((50, 14, 14), np.uint8)
    images[:, 4:9, 3:9] = np.arange(150, 200, dtype=np.uint8)[:, None, None]
    write_idx(data / "train-images-idx3-ubyte", images)
    write_idx(data / "t10k-images-idx3-ubyte", images[:20])
    own = ["--data-dir", str(data), "--num-classes", "12", "--resize"]
    assert main([*USUAL, *own, "--steps", "2", "--checkpoint", str(path)]) == 0
    saved = load(path)
    assert (saved.dataset, saved.num_classes) == ("custom", 12)
    assert main(["--resume", str(path), "--data-dir", str(data), "--steps", "3", "--json"]) == 0
    capsys.readouterr()
    assert main(["--resume", str(path), "--data-dir", str(data), "--steps", "4", "--num-classes", "13"]) == 2
    assert "the dataset has 13 classes, but there are 12 in the run in " in capsys.readouterr().err
    assert main(["--resume", str(path), "--steps", "4", "--offline"]) == 1
    assert "custom is data of your own: name its folder with --data-dir" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "257", "2.5", ""])
def test_numbers_of_classes_that_make_no_sense(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["--num-classes", value])
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert "--num-classes" in capsys.readouterr().err
