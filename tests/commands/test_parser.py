"""What bad usage is answered with: one line of help, one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpsmnist.commands.main import main
from mpsmnist.commands.parser import Parser
from support.commands import Call


@pytest.fixture
def parser() -> Parser:
    made = Parser(prog="prog", allow_abbrev=False)
    made.add_argument("--batch-size", type=int)
    made.add_argument("--steps", type=int)
    made.add_argument("--init-from")
    made.add_argument("--seed")
    return made


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("batch_size is 0, expected more", "--batch-size is 0, expected more"),
        ("steps is 0", "--steps is 0"),
        ("steps is 3, which batch_size forbids", "--steps is 3, which --batch-size forbids"),
        ("steps is 3, but the run has 5 steps", "--steps is 3, but the run has 5 steps"),
        ("seed is 'batch_size', the word", "--seed is 'batch_size', the word"),
        ('steps is "init_from"; init_from helps', '--steps is "init_from"; --init-from helps'),
        (
            "steps is 'x', which exists: `seed` replaces it",
            "--steps is 'x', which exists: --seed replaces it",
        ),
        ("data_dir is no option here", "data_dir is no option here"),
    ],
)
def test_names_of_the_api_become_options(parser: Parser, call: Call, message: str, shown: str) -> None:
    assert call(parser.error, message) == (2, "", f"Help: prog --help\nprog: error: {shown}\n")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["--batchsize", "3"], "--batch-size"),
        (["--step=3"], "--steps"),  # cut short
        (["--init"], "--init-from"),
        (["--bs", "3"], "--batch-size"),  # its initials
        (["--setps", "3"], "--steps"),
        (["--steps", "x", "--sead", "3"], "--seed"),  # whatever argparse complains about first
        (["--xyz"], None),
        (["word"], None),
        (["--", "--step"], None),
    ],
)
def test_an_unknown_option_is_guessed(
    parser: Parser, call: Call, arguments: list[str], meant: str | None
) -> None:
    code, out, err = call(parser.parse_args, arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 2)
    assert err.rstrip().partition("; did you mean ")[2] == (f"{meant}?" if meant else "")


def test_a_file_whose_name_looks_like_an_option_is_told_how_to_be_written(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-7.png").touch()
    (tmp_path / "-").touch()
    for words in (["-7.png"], ["a.png", "-", "-7.png"]):
        code, out, err = call(main, ["predict", "--checkpoint", "run", *words])
        assert (code, out) == (2, "")
        assert err.endswith("; the file -7.png is ./-7.png\n")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["trains"], "train"),
        (["doc"], "doctor"),
        (["train", "--learing-rate", "0.1"], "--learning-rate"),
        (["train", "--lr", "0.1"], "--learning-rate"),
        (["train", "--learn", "0.1"], "--learning-rate"),
        (["train", "--preset", "fats"], "fast"),
        (["train", "--init", "hee"], "he"),
        (["train", "--device", "gpu"], "mps"),
        (["predict", "--device", "Metal"], "mps"),
        (["train", "--device", "cup"], "cpu"),
        (["train", "--dataset", "fashion"], None),
        (["predict", "--chekpoint", "run"], "--checkpoint"),
    ],
)
def test_every_command_guesses(call: Call, arguments: list[str], meant: str | None) -> None:
    code, out, err = call(main, arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 2)
    if meant is not None:
        assert err.endswith(f"; did you mean {meant}?\n")
