"""A dataset of letters on the command line, from its mirror to what is printed of a picture."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from mpsmnist import checkpoint
from mpsmnist.predict import main as predict
from mpsmnist.train import main as train
from support.commands import Call, json_lines
from support.pictures import write_png
from support.small_sets import small_set

# Enough to tell letters apart that are written much alike.
RUN = ("--device", "cpu", "--steps", "400", "--init", "he", "--learning-rate", "0.05", "--momentum", "0.5")


pytestmark = pytest.mark.usefixtures("mirror")


def test_letters_are_trained_on_and_predicted(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "letters.safetensors"
    code, out, err = call(train, [*RUN, "--dataset", "emnist-letters", "--checkpoint", str(path), "--json"])
    assert code == 0, err
    start, end = json_lines(out)[0], json_lines(out)[-1]
    assert (start["dataset"], start["classes"]) == ("emnist-letters", list(string.ascii_uppercase))
    assert end["test_accuracy"] > 0.5
    assert checkpoint.load(path).classes == tuple(string.ascii_uppercase)

    images, labels, _ = small_set("emnist-letters")[1:]
    options = ["--checkpoint", str(path), "--device", "cpu"]
    pngs = [str(write_png(tmp_path / f"{index}.png", image)) for index, image in enumerate(images[:20])]
    answers = json_lines(call(predict, [*pngs, *options, "--json"])[1])
    assert [answer["class"] for answer in answers] == [string.ascii_uppercase[a["digit"]] for a in answers]
    right = [answer["digit"] == label for answer, label in zip(answers, labels, strict=False)]
    assert sum(right) >= 15
    lines = call(predict, [*pngs, *options])[1].splitlines()
    for line, answer in zip(lines, answers, strict=True):
        found = re.fullmatch(r".*\.png: (?:unsure \(.*\), best guess )?([A-Z])(?:  .*%)?", line)
        assert found is not None, line
        assert found[1] == answer["class"]

    resumed = ["--resume", str(path), "--steps", "402", "--device", "cpu"]
    assert call(train, resumed)[0] == 0
    assert checkpoint.load(path).step == 402


def test_a_run_is_not_resumed_on_other_classes(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "run"
    options = ["--device", "cpu", "--steps", "1", "--checkpoint", str(path)]
    assert call(train, [*options, "--dataset", "emnist-balanced"])[0] == 0
    code, _, err = call(train, ["--resume", str(path), "--steps", "2", "--dataset", "emnist-letters"])
    assert (code, "trains on 'emnist-balanced'" in err) == (2, True)
