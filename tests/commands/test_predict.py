"""`mpsmnist.predict` on the command line."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from mpsmnist.commands import predict, streams
from mpsmnist.commands.answers import Answer, as_json, format_line
from mpsmnist.commands.drawing import format_pixels
from mpsmnist.data.sources import DIGITS, SOURCES, number_names
from mpsmnist.predict import Prediction, format_prediction, main
from mpsmnist.prediction import predictor
from support.commands import Call, json_lines, run, start
from support.datasets import write_idx
from support.examples import discs
from support.pictures import Grey, drawing, save_weights, write_png


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


def prediction(
    image: str,
    digit: int,
    unsure: str | None = None,
    share: float = 0.75,
    classes: tuple[str, ...] = DIGITS,
) -> Prediction:
    probabilities = [(1 - share) / (len(classes) - 1)] * len(classes)
    probabilities[digit] = share
    pixels = np.zeros((28, 28), np.uint8)
    return Prediction(image, digit, probabilities, True, unsure, pixels, classes)


def test_the_bar_chart() -> None:
    probabilities = [0.0, 0.001, 0.75, 0.249, *[0.0] * 6]
    two = prediction("two.png", 2)._replace(probabilities=probabilities)
    lines = format_prediction(two).splitlines()
    assert lines[0] == "two.png: 2  75.0%"
    assert lines[1] == "   0   0.00%"
    assert lines[2] == "   1   0.10%"
    assert lines[3] == "   2  75.00% " + "#" * 30
    assert lines[4] == "   3  24.90% " + "#" * 10
    assert len(lines) == 11


def test_an_answer_in_a_line() -> None:
    four, two = prediction("42.png", 4), prediction("42.png", 2, "odd")
    assert format_line(Answer("4.png", [four], None)) == "4.png: 4  75.0%"
    assert format_line(Answer("4.png", [two], "odd")) == "4.png: unsure (odd), best guess 2"
    assert format_line(Answer("42.png", [four, two], None)) == "42.png: 42"
    assert (
        format_line(Answer("42.png", [four, two], "digit 2 of 2: odd"))
        == "42.png: unsure (digit 2 of 2: odd), best guess 42"
    )
    assert format_line(Answer("white.png", [], "blank")) == "white.png: unsure (blank)"


BLOCKS = " \u2591\u2592\u2593\u2588"


@pytest.mark.parametrize(
    ("encoding", "shades"),
    [
        ("utf-8", BLOCKS),
        (None, BLOCKS),
        ("cp437", BLOCKS),
        ("ascii", " .:+#"),
        ("latin-1", " .:+#"),
        ("nonsense", " .:+#"),
    ],
)
def test_pixels_are_drawn_in_what_the_encoding_has(encoding: str | None, shades: str) -> None:
    pixels = np.array([[0, 64, 128], [191, 255, 0]], np.uint8)
    blank, light, medium, dark, full = shades
    assert list(format_pixels(pixels, encoding)) == [
        "+------+",
        f"|{blank * 2}{light * 2}{medium * 2}|",
        f"|{dark * 2}{full * 2}{blank * 2}|",
        "+------+",
    ]


def test_what_a_checkpoint_lacks_is_told(call: Call, weights: Path, tmp_path: Path) -> None:
    with safe_open(weights, framework="numpy") as file:
        metadata, state = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(state, tmp_path / "old", metadata | {"familiarity 1": "of another form"})
    png = write_png(tmp_path / "a.png", 255 - drawing())
    code, out, err = call(main, [str(png), "--checkpoint", str(tmp_path / "old"), "--device", "cpu"])
    assert (code, len(out.splitlines())) == (0, 11)
    told = r"python -m mpsmnist\.predict: checkpoint '.*old' has 'familiarity 1', expected .*\n"
    assert re.fullmatch(told, err)


def test_a_picture_has_bars_and_pictures_have_a_line_each(run_predict: Call, tmp_path: Path) -> None:
    images = discs(2)[0]
    png = write_png(tmp_path / "a.png", 255 - drawing())
    idx = write_idx(tmp_path / "images", images)
    code, out, err = run_predict(png)
    assert (code, err, len(out.splitlines())) == (0, "", 11)
    assert re.match(
        rf"{re.escape(str(png))}: (\d  \d+\.\d%|unsure \(.+\), best guess \d)$", out.splitlines()[0]
    )

    code, out, err = run_predict(png, idx)
    assert (code, err) == (0, "")
    assert [line.split(": ")[0] for line in out.splitlines()] == [str(png), f"{idx}[0]", f"{idx}[1]"]
    assert len(run_predict(png, idx, "--bars")[1].splitlines()) == 3 * 11

    code, out, err = run_predict(png, idx, "--json")
    assert (code, err) == (0, "")
    results = json_lines(out)
    assert [list(result) for result in results] == [
        ["image", "digit", "class", "probabilities", "inverted", "unsure"]
    ] * 3
    assert [result["inverted"] for result in results] == [True, False, False]
    for result in results:
        assert len(result["probabilities"]) == 10
        assert result["digit"] == int(np.argmax(result["probabilities"]))


def test_what_the_network_saw_is_drawn(run_predict: Call, tmp_path: Path) -> None:
    image = discs(1)[0][0]
    png = write_png(tmp_path / "a.png", image)
    _, out, _ = run_predict(png, "--show")
    drawn = out.splitlines()[1:31]
    seen = read_answer(run_predict, png).pixels
    assert drawn == list(format_pixels(seen, "utf-8"))
    assert len(out.splitlines()) == 41  # and the bars
    assert len(run_predict(png, png, "--show")[1].splitlines()) == 2 * 31


def read_answer(run_predict: Call, png: Path) -> Prediction:
    """The prediction that the command prints of this picture."""
    answers: list[Prediction] = []
    keep = predictor.predict_picture

    def predict_picture(*arguments: Any) -> Prediction:
        answers.append(keep(*arguments))
        return answers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict, "predict_picture", predict_picture)
        run_predict(png)
    return answers[0]


def two_strokes() -> Grey:
    return np.hstack([drawing(120, 120), drawing(120, 120)])


def test_many_digits_are_read_in_order(run_predict: Call, tmp_path: Path) -> None:
    png = write_png(tmp_path / "a.png", two_strokes())
    one = json.loads(run_predict(write_png(tmp_path / "one.png", drawing(120, 120)), "--json")[1])
    code, out, err = run_predict(png, "--many", "--json")
    assert (code, err) == (0, "")
    [result] = json_lines(out)
    assert list(result) == ["image", "text", "digits", "unsure"]
    assert (result["image"], result["text"]) == (str(png), f"{one['digit']}" * 2)
    assert [list(digit) for digit in result["digits"]] == [
        ["digit", "class", "probabilities", "inverted", "unsure"]
    ] * 2
    assert all(len(digit["probabilities"]) == 10 for digit in result["digits"])

    assert len(run_predict(png, "--many")[1].splitlines()) == 1
    assert len(run_predict(png, "--many", "--bars")[1].splitlines()) == 1 + 2 * 10
    assert len(run_predict(png, "--many", "--show")[1].splitlines()) == 1 + 2 * 30


OLD_11 = number_names(11)  # of a checkpoint that has no names


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (DIGITS, "12"),
        (OLD_11, "1 2"),
        (SOURCES["emnist-letters"].classes, "BC"),
        (SOURCES["emnist-byclass"].classes, "12"),
        (SOURCES["kmnist"].classes, "ki su"),
        (SOURCES["fashion-mnist"].classes, "Trouser Pullover"),
    ],
)
def test_classes_that_may_have_two_characters_stand_apart(classes: tuple[str, ...], text: str) -> None:
    """Or 1 and 1 would be 11."""
    one, two = (prediction("a.png", number, classes=classes) for number in (1, 2))
    answer = Answer("a.png", [one, two], None)
    assert format_line(answer) == f"a.png: {text}"
    result = json.loads(as_json(answer, many=True))
    assert result["text"] == text
    assert [digit["class"] for digit in result["digits"]] == [classes[1], classes[2]]


def test_letters_and_words_are_printed() -> None:
    letter = prediction("q.png", 16, classes=SOURCES["emnist-letters"].classes)
    lines = format_prediction(letter).splitlines()
    assert lines[0] == "q.png: Q  75.0%"
    assert (lines[1], lines[17], len(lines)) == ("   A   1.00%", "   Q  75.00% " + 30 * "#", 27)
    boot = prediction("boot.png", 9, classes=SOURCES["fashion-mnist"].classes)
    lines = format_prediction(boot).splitlines()
    assert lines[0] == "boot.png: Ankle boot  75.0%"
    assert lines[1] == "  T-shirt/top   2.78% #"
    assert lines[10] == "   Ankle boot  75.00% " + 30 * "#"
    assert json.loads(as_json(Answer("boot.png", [boot], None), many=False))["class"] == "Ankle boot"


def test_names_of_classes_command_no_terminal() -> None:
    odd = prediction("a.png", 0, "it could be \x1b[2J or b", classes=("\x1b[2J", "b\n"))
    for answer in (Answer("a.png", [odd], None), Answer("a.png", [odd], odd.unsure)):
        assert "\\x1b[2J" in format_line(answer)
        assert format_line(answer).isprintable()
    assert all(line.isprintable() for line in format_prediction(odd).splitlines())
    assert len(format_prediction(odd).splitlines()) == 3


def test_two_digits_are_doubted_unless_many_are_asked_for(run_predict: Call, tmp_path: Path) -> None:
    png = write_png(tmp_path / "a.png", two_strokes())
    code, out, err = run_predict(png)
    assert (code, err) == (0, "")
    assert re.match(rf"{re.escape(str(png))}: unsure \(.*--many\), best guess \d$", out.splitlines()[0])
    assert "--many" in json.loads(run_predict(png, "--json")[1])["unsure"]
    assert run_predict(png, "--strict")[0] == 1
    assert "--many)" not in run_predict(png, "--many")[1]


def test_a_blank_picture_is_an_unsure_answer(run_predict: Call, tmp_path: Path) -> None:
    png = write_png(tmp_path / "white.png", np.full((50, 50), 255, np.uint8))
    code, out, err = run_predict(png)
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"{re.escape(str(png))}: unsure \(.+\)\n", out)
    assert run_predict(png, "--strict")[0] == 1
    result = json.loads(run_predict(png, "--json")[1])
    assert result.pop("unsure")
    assert result == {
        "image": str(png),
        "digit": None,
        "class": None,
        "probabilities": None,
        "inverted": None,
    }
    result = json.loads(run_predict(png, "--json", "--many")[1])
    assert (result["text"], result["digits"], bool(result["unsure"])) == ("", [], True)


def test_an_answer_that_is_sure_is_so_with_strict(
    run_predict: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "predict_picture", lambda _trainer, name, *_: prediction(name, 7))
    png = write_png(tmp_path / "a.png", drawing())
    assert run_predict(png, "--strict")[0] == 0
    assert json.loads(run_predict(png, "--json")[1])["unsure"] is None


def test_blank_pages_are_told_and_skipped(run_predict: Call, tmp_path: Path) -> None:
    page, white = Image.fromarray(255 - drawing()), Image.new("L", (200, 120), 255)
    path = tmp_path / "scan.tif"
    page.save(path, save_all=True, append_images=[white, page])
    code, out, err = run_predict(path, "--json")
    assert code == 0
    assert [result["image"] for result in json_lines(out)] == [f"{path}[0]", f"{path}[2]"]
    assert re.fullmatch(rf"python -m mpsmnist.predict: {re.escape(str(path))}\[1\]: skipped: .+\n", err)

    white.save(path, save_all=True, append_images=[white])
    code, out, err = run_predict(path)
    assert (code, out) == (0, f"{path}: unsure (all 2 pictures are blank)\n")
    assert len(err.splitlines()) == 2
    assert run_predict(path, "--strict")[0] == 1


def test_invert_on_the_command_line(run_predict: Call, tmp_path: Path) -> None:
    plain = write_png(tmp_path / "plain.png", 255 - drawing())
    inverted = [
        json.loads(run_predict(plain, "--json", *option)[1])["inverted"] for option in ([], ["--invert"])
    ]
    assert inverted == [True, True]
    assert json.loads(run_predict(plain, "--json", "--no-invert")[1])["inverted"] is not True


def write_blank_and_disc(path: Path) -> Path:
    """An IDX file of a blank picture and one that is not."""
    return write_idx(path, np.stack([np.zeros((28, 28), np.uint8), discs(1)[0][0]]))


def test_one_bad_picture_does_not_hide_the_others(run_predict: Call, tmp_path: Path) -> None:
    idx = write_blank_and_disc(tmp_path / "images")
    code, out, err = run_predict(tmp_path / "absent.png", idx, "--json")
    assert code == 1
    assert [result["image"] for result in json_lines(out)] == [f"{idx}[1]"]
    absent, blank = err.splitlines()
    assert absent == f"python -m mpsmnist.predict: {tmp_path}/absent.png: No such file or directory"
    assert blank.startswith(f"python -m mpsmnist.predict: {idx}[0]: skipped: ")


def test_levels_that_were_stretched_are_told(run_predict: Call, tmp_path: Path) -> None:
    idx = write_idx(tmp_path / "images", discs(1)[0] // 16)
    code, out, err = run_predict(idx, "--json")
    assert (code, len(json_lines(out))) == (0, 1)
    assert err == f"python -m mpsmnist.predict: {idx}: its levels, 0 to 15, are stretched to 0 to 255\n"


def test_a_bad_checkpoint_is_named(run_predict: Call, tmp_path: Path) -> None:
    png = write_png(tmp_path / "a.png", drawing())
    code, out, err = run_predict(png, "--checkpoint", tmp_path / "absent")
    assert (code, out) == (1, "")
    assert "absent' does not exist" in err
    code, out, err = run_predict(png, "--checkpoint", png)
    assert (code, out) == (1, "")
    assert "not a readable safetensors file" in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.png", "--threads", "0"],
        ["a.png", "--device", "cuda"],
        ["--nonsense"],
        ["a.png", "--json", "--bars"],
        ["a.png", "--json", "--show"],
        ["-", "a.png", "-"],
    ],
)
def test_bad_usage(run_predict: Call, arguments: list[str]) -> None:
    assert run_predict(*arguments)[0] == 2


def test_an_address_is_told_how_to_be_read(run_predict: Call) -> None:
    code, out, err = run_predict("https://example.com/7.png")
    assert (code, out) == (2, "")
    assert "https://example.com/7.png is an address: `curl -L https://example.com/7.png | mpsmnist" in err


def test_a_name_with_a_line_break_is_in_one_line(run_predict: Call, tmp_path: Path) -> None:
    """And none can colour the terminal; in JSON it is the very name."""
    folder = tmp_path / "a\n\x1b[31m\u2028\N{SNOWMAN}"
    folder.mkdir()
    shown = f"{tmp_path}/a\\n\\x1b[31m\\u2028\N{SNOWMAN}"
    png = write_png(folder / "a.png", drawing())
    code, out, err = run_predict(png, folder / "absent.png", write_blank_and_disc(folder / "images"))
    assert code == 1
    assert [line.split(": ")[0] for line in out.splitlines()] == [f"{shown}/a.png", f"{shown}/images[1]"]
    program = "python -m mpsmnist.predict: "
    assert [line.split(": ")[1] for line in err.splitlines()] == [f"{shown}/absent.png", f"{shown}/images[0]"]
    assert all(line.startswith(program) for line in err.splitlines())
    assert json.loads(run_predict(png, "--json")[1])["image"] == str(png)


def test_without_a_network_it_says_how_to_get_one(call: Call, tmp_path: Path) -> None:
    code, out, err = call(main, [str(tmp_path / "a.png")])
    assert (code, out) == (2, "")
    assert "`mpsmnist train --preset fast --checkpoint digits.safetensors` makes one" in err


def predict_from(source: IO[bytes] | int, weights: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "mpsmnist.predict", "-", "--checkpoint", str(weights), "--device", "cpu"]
    return subprocess.run(
        [*words, *options], stdin=source, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_picture_from_a_pipe(weights: Path, tmp_path: Path) -> None:
    png = write_png(tmp_path / "a.png", drawing())
    with subprocess.Popen(["cat", png], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        done = predict_from(cat.stdout, weights, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    piped = json.loads(done.stdout)
    named = json.loads(run("predict", png, "--checkpoint", weights, "--device", "cpu", "--json").stdout)
    assert piped == named | {"image": "stdin"}


def test_pictures_from_a_redirected_file(weights: Path, tmp_path: Path) -> None:
    with write_idx(tmp_path / "images", discs(2)[0]).open("rb") as file:
        done = predict_from(file, weights)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["stdin[0]", "stdin[1]"]


def test_a_terminal_is_not_waited_for(weights: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        done = predict_from(theirs, weights)
    finally:
        os.close(ours)
        os.close(theirs)
    expected = "python -m mpsmnist.predict: stdin: it is a terminal, expected a pipe or a file\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


@pytest.mark.parametrize("stdin", [None, io.StringIO("text")], ids=["closed", "no bytes"])
def test_a_closed_stdin(
    run_predict: Call, monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run_predict("-") == (1, "", "python -m mpsmnist.predict: stdin: it is closed\n")


class Endless(io.BytesIO):
    """A pipe of zeros that never ends."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0, "this would never return"
        return bytes(size)


def test_endless_input_is_given_up(run_predict: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_STDIN", 1000)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Endless()))
    assert run_predict("-") == (1, "", "python -m mpsmnist.predict: stdin: more than 1,000 bytes\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(bytes(1000))))
    assert "stdin: neither a picture" in run_predict("-")[2]


def test_a_file_whose_name_is_a_dash(
    run_predict: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "-.png", drawing()).rename(tmp_path / "-")
    code, out, _ = run_predict("./-", "--json")
    assert (code, json.loads(out)["image"]) == (0, "-")


def test_stderr_has_one_line_for_a_bad_picture(weights: Path, tmp_path: Path) -> None:
    """Whatever Pillow logs and libtiff prints."""
    path = tmp_path / "a.tif"
    Image.fromarray(drawing()).save(path, tiffinfo={277: 65282})  # samples per pixel
    done = run("predict", path, "--checkpoint", weights, "--device", "cpu")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"python -m mpsmnist.predict: {path}: ")


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
