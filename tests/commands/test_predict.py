"""`mpsmnist.predict` on the command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mpsmnist.predict import Prediction, format_prediction, main
from support.commands import Call, json_lines, run, start
from support.datasets import write_idx
from support.examples import discs
from support.pictures import drawing, save_weights, write_png


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint."""
    path = tmp_path_factory.mktemp("weights") / "run.safetensors"
    save_weights(path)
    return path


@pytest.fixture
def run_predict(call: Call, weights: Path) -> Call:
    """`mpsmnist.predict` with those weights."""
    usual = ("--checkpoint", weights, "--device", "cpu")
    return lambda *arguments: call(main, [str(argument) for argument in (*usual, *arguments)])


def test_the_bar_chart() -> None:
    probabilities = [0.0, 0.001, 0.75, 0.249, *[0.0] * 6]
    lines = format_prediction(Prediction("two.png", 2, probabilities, True)).splitlines()
    assert lines[0] == "two.png: 2 (dark on light: inverted)"
    assert lines[1] == "   0   0.00%"
    assert lines[2] == "   1   0.10%"
    assert lines[3] == "   2  75.00% " + "#" * 30
    assert lines[4] == "   3  24.90% " + "#" * 10
    assert len(lines) == 11


def test_pictures_on_the_command_line(run_predict: Call, tmp_path: Path) -> None:
    images = discs(2)[0]
    png = write_png(tmp_path / "a.png", 255 - drawing())
    idx = write_idx(tmp_path / "images", images)
    code, out, err = run_predict(png, idx)
    assert (code, err) == (0, "")
    assert [line.split(": ")[0] for line in out.splitlines()[::11]] == [str(png), f"{idx}[0]", f"{idx}[1]"]
    assert out.splitlines()[0].endswith("(dark on light: inverted)")

    code, out, err = run_predict(png, idx, "--json")
    assert (code, err) == (0, "")
    results = json_lines(out)
    assert [list(result) for result in results] == [["image", "digit", "probabilities", "inverted"]] * 3
    assert [result["inverted"] for result in results] == [True, False, False]
    for result in results:
        assert len(result["probabilities"]) == 10
        assert result["digit"] == int(np.argmax(result["probabilities"]))


def test_invert_on_the_command_line(run_predict: Call, tmp_path: Path) -> None:
    framed = write_png(tmp_path / "framed.png", np.pad(255 - drawing(), 3, constant_values=0))
    inverted = [
        json.loads(run_predict(framed, "--json", *option)[1])["inverted"] for option in ([], ["--no-invert"])
    ]
    assert inverted == [False, False]
    plain = write_png(tmp_path / "plain.png", 255 - drawing())
    assert json.loads(run_predict(plain, "--json", "--invert")[1])["inverted"] is True
    assert run_predict(plain, "--no-invert")[0] == 1


def test_one_bad_picture_does_not_hide_the_others(run_predict: Call, tmp_path: Path) -> None:
    blank = write_idx(tmp_path / "images", np.stack([np.zeros((28, 28), np.uint8), discs(1)[0][0]]))
    code, out, err = run_predict(tmp_path / "absent.png", blank, "--json")
    assert code == 1
    assert [result["image"] for result in json_lines(out)] == [f"{blank}[1]"]
    assert err.splitlines() == [
        f"python -m mpsmnist.predict: {tmp_path}/absent.png: No such file or directory",
        f"python -m mpsmnist.predict: {blank}[0]: the picture is blank: nothing differs from its border",
    ]


def test_a_bad_checkpoint_is_named(run_predict: Call, tmp_path: Path) -> None:
    png = write_png(tmp_path / "a.png", drawing())
    code, out, err = run_predict(png, "--checkpoint", tmp_path / "absent")
    assert (code, out) == (1, "")
    assert "absent' does not exist" in err
    code, out, err = run_predict(png, "--checkpoint", png)
    assert (code, out) == (1, "")
    assert "not a readable safetensors file" in err


@pytest.mark.parametrize(
    "arguments", [[], ["a.png", "--threads", "0"], ["a.png", "--device", "cuda"], ["--nonsense"]]
)
def test_bad_usage(run_predict: Call, arguments: list[str]) -> None:
    assert run_predict(*arguments)[0] == 2


def test_it_runs_as_a_module(weights: Path, tmp_path: Path) -> None:
    png = write_png(tmp_path / "a.png", drawing())
    done = run("predict", png, "--checkpoint", weights, "--device", "cpu", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["image"] == str(png)


def test_a_reader_that_never_reads_is_a_failure_without_a_traceback(weights: Path, tmp_path: Path) -> None:
    """The output is short, and stays in stdout's buffer until the end."""
    png = write_png(tmp_path / "a.png", drawing())
    arguments = (png, "--checkpoint", weights, "--device", "cpu", "--json")
    with start("predict", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.wait(timeout=60), process.stderr.read()) == (1, "")
