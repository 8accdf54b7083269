"""The option --plot."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import sys
from pathlib import Path

import pytest
from PIL import Image

import mpsmnist
from mpsmnist.commands import loading
from mpsmnist.commands import train as cli
from mpsmnist.commands.plot import save_plot
from mpsmnist.train import TrainConfig, train
from support.commands import Call, run
from support.datasets import small_dataset
from support.training import fail_saves

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"
)
BEGINNINGS = {
    "png": b"\x89PNG",
    "PDF": b"%PDF",
    "svg": b"<?xml",
    "jpg": b"\xff\xd8\xff",
    "jpeg": b"\xff\xd8\xff",
}


@needs_matplotlib
@pytest.mark.parametrize("suffix", BEGINNINGS)
def test_the_suffix_decides_the_format(run_train: Call, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a $x$ 手.b.{suffix}"
    assert run_train("--steps", 6, "--plot", path, "--quiet") == (0, "", "")
    assert path.read_bytes().startswith(BEGINNINGS[suffix])
    assert [other for other in tmp_path.iterdir() if other.name != "data"] == [path]


@needs_matplotlib
def test_a_link_stays_a_link(run_train: Call, tmp_path: Path) -> None:
    target, link = tmp_path / "kept", tmp_path / "link.svg"
    link.symlink_to(target)
    assert run_train("--steps", 2, "--plot", link, "--quiet") == (0, "", "")
    assert link.is_symlink()
    assert target.read_bytes().startswith(b"<?xml")


@needs_matplotlib
def test_the_picture_shows_something(run_train: Call, tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    assert run_train("--steps", 6, "--plot", path, "--quiet") == (0, "", "")
    with Image.open(path) as image:
        image.load()
        assert image.width > 500
        assert len(image.convert("L").getcolors(256) or []) > 50  # curves, letters and grey digits


@pytest.mark.parametrize("name", ["plot", "plot.gif", "plot.png.txt", "plot."])
def test_other_formats_are_refused_before_training(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(loading, "load", lambda *_, **__: pytest.fail("the data were loaded first"))
    code, _, err = run_train("--plot", tmp_path / name)
    assert code == 2
    message = err.splitlines()[-1]
    assert name in message
    assert all(suffix in message for suffix in (".png", ".pdf", ".svg", ".jpg"))


def test_a_suffix_is_no_name(run_train: Call, tmp_path: Path) -> None:
    code, _, err = run_train("--plot", tmp_path / ".png")
    assert code == 2
    assert err.endswith(".png', which is only a suffix, expected a name such as run.png\n")


@pytest.mark.parametrize("option", ["--checkpoint", "--resume", "--init-from"])
@pytest.mark.parametrize("link", [None, "symbolic", "hard"])
def test_a_picture_never_replaces_a_checkpoint(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str, link: str | None
) -> None:
    kept = tmp_path / "run.png"
    assert run_train("--steps", 2, "--checkpoint", kept, "--quiet")[0] == 0
    before = kept.read_bytes()
    picture = kept if link is None else tmp_path / "link.png"
    if link == "symbolic":
        picture.symlink_to(kept)
    elif link == "hard":
        picture.hardlink_to(kept)
    monkeypatch.setattr(loading, "load", lambda *_, **__: pytest.fail("the data were loaded first"))
    options = ("--overwrite",) if option == "--checkpoint" else ("--checkpoint", tmp_path / "other")
    code, _, err = run_train("--steps", 4, option, kept, *options, "--plot", picture)
    assert code == 2
    assert err.endswith(f"--plot is '{picture}', which is the file of {option}, expected another one\n")
    assert kept.read_bytes() == before


def test_a_picture_never_replaces_a_checkpoint_that_is_yet_to_be_written(
    run_train: Call, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    code, _, err = run_train("--checkpoint", tmp_path / "a.png", "--plot", tmp_path / "link" / "a.png")
    assert code == 2
    assert "which is the file of --checkpoint" in err


@needs_matplotlib
def test_no_temporary_file_is_there_while_the_picture_is_drawn(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A second signal ends the process at once, and would leave it behind."""
    figure_module = importlib.import_module("mpsmnist.training.figure")
    original, folder = figure_module.RunFigure.savefig, tmp_path / "pictures"
    folder.mkdir()
    seen: list[list[Path]] = []

    def savefig(*arguments: object, **options: object) -> None:
        seen.append(list(folder.iterdir()))
        original(*arguments, **options)

    monkeypatch.setattr(figure_module.RunFigure, "savefig", savefig)
    assert run_train("--steps", 2, "--plot", folder / "run.png", "--quiet") == (0, "", "")
    assert seen == [[]]
    assert [path.name for path in folder.iterdir()] == ["run.png"]


def test_a_missing_matplotlib_is_reported_before_training(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "mpsmnist.training.figure", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    monkeypatch.setattr(loading, "load", lambda *_, **__: pytest.fail("the data were loaded first"))
    code, _, err = run_train("--plot", tmp_path / "plot.png")
    assert code == 1
    assert "pip install 'mpsmnist[plot]'" in err
    assert len(err.splitlines()) == 1


@needs_matplotlib
def test_a_plot_that_cannot_be_written_is_one_line_and_the_checkpoint_is_there(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    original = cli.train

    def remove_the_folder(*arguments: object, **options: object) -> object:
        result = original(*arguments, **options)  # type: ignore[arg-type]
        folder.rmdir()
        return result

    monkeypatch.setattr(cli, "train", remove_the_folder)
    kept = tmp_path / "run.safetensors"
    code, _, err = run_train("--steps", 3, "--plot", folder / "p.svg", "--checkpoint", kept, "--quiet")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "cannot be written: No such file or directory" in err
    assert kept.exists()


@needs_matplotlib
def test_letters_that_the_font_lacks_are_boxes_without_a_word(tmp_path: Path) -> None:
    data = dataclasses.replace(small_dataset(), classes=("手書き",) * 10)
    run = train(TrainConfig(device="cpu", batch_size=1, steps=1), dataset=data)
    for suffix in ("png", "pdf"):
        path = tmp_path / f"plot.{suffix}"
        save_plot(path, run, data)  # a warning would be an error here
        assert path.read_bytes().startswith(BEGINNINGS[suffix.replace("pdf", "PDF")])


@needs_matplotlib
def test_a_users_matplotlibrc_cannot_cost_the_picture(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LaTeX, which may not be installed, is never asked; nor is a screen."""
    settings = tmp_path / "matplotlibrc"
    settings.write_text("text.usetex: True\nbackend: tkagg\n")
    monkeypatch.setenv("MATPLOTLIBRC", str(settings))
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "plot.pdf"
    options = ("--data-dir", data_dir, "--device", "cpu", "--batch-size", 2, "--steps", 60, "--quiet")
    done = run("train", *options, "--plot", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes().startswith(b"%PDF")


@needs_matplotlib
def test_a_run_that_diverged_is_drawn(run_train: Call, tmp_path: Path) -> None:
    path = tmp_path / "run.png"
    code, _, err = run_train("--steps", 200, "--learning-rate", "1e6", "--plot", path, "--quiet")
    assert (code, len(err.splitlines())) == (1, 1)
    assert "training diverged at step" in err
    assert path.read_bytes().startswith(BEGINNINGS["png"])


@needs_matplotlib
def test_a_run_that_could_not_be_saved_is_drawn(
    run_train: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "run.png"
    fail_saves(monkeypatch)
    options = ("--steps", 4, "--checkpoint", tmp_path / "run", "--plot", path, "--quiet")
    code, _, err = run_train(*options)
    assert (code, len(err.splitlines())) == (1, 1)
    assert err.endswith("run' cannot be written: No space left on device\n")
    assert path.read_bytes().startswith(BEGINNINGS["png"])

    def save_plot(path: Path, *_: object) -> None:
        raise mpsmnist.Error(f"plot '{path}' cannot be written")

    monkeypatch.setattr(cli.plot, "save_plot", save_plot)
    code, _, err = run_train(*options)
    assert code == 1
    assert [line.rpartition("' ")[2] for line in err.splitlines()] == [
        "cannot be written",
        "cannot be written: No space left on device",
    ]
