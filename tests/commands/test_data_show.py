"""`mpsmnist data show`: which images are drawn, where to, and what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mpsmnist.commands.data.sheet import GAP, NAME_HEIGHT, SCALE
from mpsmnist.commands.loading import load_dataset
from mpsmnist.commands.main import main
from mpsmnist.data import Dataset
from support.commands import Call
from support.datasets import small_dataset
from support.http_faults import FaultyServer
from support.small_sets import TRAIN_IMAGES, small_set
from support.terminal import Terminal, greys

USUAL = ["data", "show"]


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch, mirror: FaultyServer) -> Terminal:
    """Of 80 columns, with colours; stdout where a test makes it that."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def cells(path: Path, columns: int) -> NDArray[np.uint8]:
    """The images in a sheet, as they were before they were enlarged."""
    sheet = np.asarray(Image.open(path))
    side = 28 * SCALE
    rows = (sheet.shape[0] - GAP) // (side + NAME_HEIGHT + GAP)
    corners = [
        (GAP + row * (side + NAME_HEIGHT + GAP) + NAME_HEIGHT, GAP + column * (side + GAP))
        for row in range(rows)
        for column in range(columns)
    ]
    return np.stack([sheet[y : y + side : SCALE, x : x + side : SCALE] for y, x in corners])


def labels_of(images: NDArray[np.uint8], name: str) -> list[int]:
    """The labels that these images have in a small set, in which all are different."""
    known = {image.tobytes(): int(label) for image, label in zip(*small_set(name)[1:3], strict=True)}
    return [known[image.tobytes()] for image in images]


def test_letters_are_upright_below_their_names(
    call: Call, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    arguments = [*USUAL, "emnist-letters", "--columns", "2", "--rows", "3", "--part", "test"]
    assert call(main, arguments)[0] == 0
    first, *lines = terminal.getvalue().splitlines()
    assert first == "emnist-letters: 6 of 70 test images"
    images, labels = (array[TRAIN_IMAGES:] for array in small_set("emnist-letters")[1:3])
    known = {
        np.rint(image / 255 * 23).tobytes(): chr(65 + label)
        for image, label in zip(images, labels, strict=True)
    }
    for row in range(3):
        names, *drawing = lines[15 * row : 15 * row + 15]
        seen = greys(drawing).astype(np.float64)
        assert [known[seen[:, x : x + 28].tobytes()] for x in (0, 30)] == names.split()


def test_the_same_images_in_a_file(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "letters.png"
    arguments = [*USUAL, "emnist-letters", "--output", str(path), "--columns", "4", "--rows", "2"]
    code, out, err = call(main, arguments)
    assert (code, out) == (0, "")
    assert err.endswith(f"mpsmnist data show: emnist-letters: 8 of 150 training images, saved to {path}\n")
    labels_of(cells(path, 4), "emnist-letters")  # each is there, and upright
    assert call(main, [*arguments, "--seed", "1"])[0] == 0  # replaces it


def test_a_file_has_a_hundred_images_with_their_names(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "sheet.PNG"
    assert call(main, [*USUAL, "mnist", "--output", str(path)])[0] == 0
    shown = cells(path, 10)
    assert len({image.tobytes() for image in shown}) == 100
    sheet = np.asarray(Image.open(path))
    names: dict[int, set[bytes]] = {}
    for place, label in enumerate(labels_of(shown, "mnist")):
        row, column = divmod(place, 10)
        y, x = GAP + row * (28 * SCALE + NAME_HEIGHT + GAP), GAP + column * (28 * SCALE + GAP)
        names.setdefault(label, set()).add(sheet[y : y + NAME_HEIGHT, x : x + 28 * SCALE].tobytes())
    assert [len(drawn) for drawn in names.values()] == [1] * 10
    assert len(set.union(*names.values())) == 10


def seen(call: Call, path: Path, *arguments: str) -> list[bytes]:
    assert call(main, [*USUAL, "mnist", "--output", str(path), *arguments])[0] == 0
    return [image.tobytes() for image in cells(path, 10)]


def test_the_seed_chooses_the_images(call: Call, tmp_path: Path) -> None:
    first, again, other = (seen(call, tmp_path / "a.png", "--seed", n, "--rows", "2") for n in "778")
    assert first == again
    assert first != other


def test_the_part_is_chosen(call: Call, tmp_path: Path) -> None:
    images = [image.tobytes() for image in small_set("mnist").images]
    train, test = (
        {*seen(call, tmp_path / "a.png", "--part", part, "--rows", "7")} for part in ("train", "test")
    )
    assert train <= set(images[:TRAIN_IMAGES])
    assert test == set(images[TRAIN_IMAGES:])


def test_a_class_is_chosen(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    code, _, err = call(main, [*USUAL, "emnist-letters", "--class", "Q", "--output", str(path)])
    assert code == 0
    of_q = int((small_set("emnist-letters").labels[:TRAIN_IMAGES] == 16).sum())
    assert f"emnist-letters: {of_q} of {of_q} training images of the class Q, saved" in err
    shown = cells(path, min(of_q, 10))[:of_q]
    assert set(labels_of(shown, "emnist-letters")) == {16}


def test_a_class_without_images(call: Call, data_dir: Path) -> None:
    arguments = ["--data-dir", str(data_dir), "--num-classes", "11", "--class", "10", "--part", "test"]
    code, out, err = call(main, [*USUAL, *arguments])
    assert (code, out) == (1, "")
    assert err.endswith("mpsmnist data show: custom: no test image is of the class 10\n")


def test_a_pipe_gets_plain_text(call: Call, data_dir: Path) -> None:
    code, out, err = call(main, [*USUAL, "--data-dir", str(data_dir), "--rows", "1"])
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    data = small_dataset()
    assert first == f"custom: 2 of {len(data.train_images)} training images"
    assert len(lines) == 15
    assert "\x1b" not in out
    assert max(map(len, lines)) <= 80


def test_what_is_not_the_network_it_asked_for_is_said(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = call(main, [*USUAL, "--data-dir", str(tmp_path / "empty")])
    assert (code, out) == (1, "")
    assert err.startswith(f"mpsmnist data show: the data folder '{tmp_path}/empty' holds no dataset")
    assert call(main, [*USUAL, "custom"])[0] == 1
    monkeypatch.setenv("MPSMNIST_OFFLINE", "2")
    code, _, err = call(main, [*USUAL, "mnist"])
    assert (code, err.splitlines()[0]) == (2, "Help: mpsmnist data show --help")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "0"], "--rows is 0, expected a whole number from 1 to 100"),
        (["--columns", "101"], "--columns is 101, expected a whole number from 1 to 100"),
        (["--seed", "-1"], "--seed is -1, expected a whole number from 0 to 18446744073709551615"),
        (["--columns", "3"], "--columns is 3, of which 2 fit in the 80 characters of a line; --output FILE"),
        (["--class", "x"], "--class is 'x', expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (["--output", "a.jpg"], "--output is 'a.jpg', expected a name that ends in .png"),
        (["--output", ".png"], "--output is '.png', expected a name that ends in .png"),
        (["--output", "absent/a.png"], "--output is 'absent/a.png', but there is no folder '"),
        (["--part", "tests"], "did you mean test?"),
        (["minst"], "did you mean mnist?"),
    ],
)
def test_what_makes_no_sense(call: Call, mirror: FaultyServer, arguments: list[str], message: str) -> None:
    if arguments[0] != "minst":
        arguments = ["mnist", *arguments]
    code, out, err = call(main, [*USUAL, *arguments])
    assert (code, out) == (2, "")
    assert err.splitlines()[-2] == "Help: mpsmnist data show --help"
    assert message in err.splitlines()[-1]
    assert mirror.requests == [] or "--class" in arguments  # whose names the dataset tells


def test_a_line_too_short_for_any_image(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "27")
    code, out, err = call(main, [*USUAL, "mnist"])
    assert (code, out) == (2, "")
    assert err.endswith("error: no image fits in the 27 characters of a line; --output FILE has room\n")


def test_a_file_that_cannot_be_written(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "a.png"
    folder.mkdir()
    code, _, err = call(main, [*USUAL, "mnist", "--output", str(folder)])
    assert (code, "which is a folder, expected a file name" in err) == (2, True)


def test_a_terminal_that_becomes_narrower_while_the_data_are_loaded(
    call: Call, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_meanwhile(*arguments: Any, **options: Any) -> Dataset:
        monkeypatch.setenv("COLUMNS", "10")
        return load_dataset(*arguments, **options)

    monkeypatch.setattr("mpsmnist.commands.data.show.load_dataset", load_meanwhile)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert call(main, [*USUAL, "mnist", "--rows", "1"])[0] == 0
    assert terminal.getvalue().startswith("mnist: 5 of ")
