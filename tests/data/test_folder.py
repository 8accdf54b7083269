"""Datasets in the user's own folder."""

from __future__ import annotations

import gzip
import os
import re
import struct
from pathlib import Path

import pytest

from mpsmnist.data import load
from mpsmnist.errors import DatasetError
from support.datasets import idx_bytes
from support.devices import make_irregular
from support.small_mnist import (
    ARRAYS,
    FILES,
    NAMES,
    assert_small_set,
    write_set,
)


@pytest.mark.parametrize("name", ["mnist", "auto"])
@pytest.mark.parametrize("given_by", ["argument", "environment"])
def test_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, given_by: str) -> None:
    folder = write_set(tmp_path / "own")
    if given_by == "environment":
        monkeypatch.setenv("MPSMNIST_DATA_DIR", str(folder))
    dataset = load(name, data_dir=folder if given_by == "argument" else None, offline=True)
    assert_small_set(dataset)
    assert dataset.source == str(folder)


@pytest.mark.parametrize("suffix", ["-idx{}-ubyte", ".idx{}-ubyte", "-idx{}-ubyte.gz", ".idx{}-ubyte.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_folder_with_files_under_their_usual_names(tmp_path: Path, suffix: str, packed: bool) -> None:
    for name, array in ARRAYS.items():
        stem = name.split("-idx")[0]
        data = idx_bytes(array)
        (tmp_path / (stem + suffix.format(array.ndim))).write_bytes(gzip.compress(data) if packed else data)
    assert_small_set(load("mnist", data_dir=tmp_path))


def test_the_argument_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPSMNIST_DATA_DIR", str(tmp_path / "absent"))
    assert_small_set(load("mnist", data_dir=write_set(tmp_path / "own")))


def test_an_empty_environment_variable_is_an_unset_one(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(cache / "mnist")
    monkeypatch.setenv("MPSMNIST_DATA_DIR", "")
    monkeypatch.chdir(write_set(tmp_path / "here"))
    assert load("mnist").source == str(cache / "mnist")


@pytest.mark.parametrize("name", ["mnist", "auto"])
@pytest.mark.parametrize("given_by", ["data_dir", "MPSMNIST_DATA_DIR"])
@pytest.mark.parametrize("fault", ["absent", "a file", "empty", "incomplete", "broken"])
def test_a_bad_folder_is_an_error_and_nothing_else_is_tried(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, name: str, given_by: str, fault: str
) -> None:
    write_set(cache / "mnist")  # good files elsewhere do not make up for a bad folder
    folder = tmp_path / "own"
    origin = " (from MPSMNIST_DATA_DIR)" if given_by == "MPSMNIST_DATA_DIR" else ""
    message = f"the data folder '{folder}'{origin} "
    if fault == "absent":
        message += "is not a folder"
    elif fault == "a file":
        folder.write_bytes(b"")
        message += "is not a folder"
    elif fault == "empty":
        folder.mkdir()
        message += f"does not contain mnist: missing {', '.join(NAMES)} "
    elif fault == "incomplete":
        (write_set(folder) / NAMES[2]).unlink()
        message += f"does not contain mnist: missing {NAMES[2]} "
    else:
        (write_set(folder) / NAMES[1]).write_bytes(FILES[NAMES[1]][:-5])
        message = f"{folder / NAMES[1]}: damaged gzip data: "
    if given_by == "MPSMNIST_DATA_DIR":
        monkeypatch.setenv(given_by, str(folder))
    with pytest.raises(DatasetError, match=re.escape(message)):
        load(name, data_dir=folder if given_by == "data_dir" else None)


def test_the_folders_path_may_have_a_tilde_and_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path / "own")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OWN", "own")
    monkeypatch.setenv("MPSMNIST_DATA_DIR", "~/$OWN")
    for dataset in (load("mnist"), load("mnist", data_dir="~/own"), load("mnist", data_dir="$HOME/own")):
        assert dataset.source == str(tmp_path / "own")


def spoil(path: Path, kind: str) -> None:
    """Put something at `path` that is no file to read."""
    path.unlink(missing_ok=True)
    if kind == "a link to absent, which is missing":
        path.symlink_to("absent")
    elif kind == "loop":
        path.symlink_to(path.name)
    else:
        make_irregular(path, kind)


KINDS = ["a folder", "a pipe", "a socket", "a device", "a link to absent, which is missing", "loop"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_regular_file_is_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    write_set(tmp_path)
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    spoil(Path(NAMES[0]), kind)
    words = "levels of symbolic links" if kind == "loop" else f"it is {kind}"
    with pytest.raises(DatasetError, match=rf"missing {NAMES[0]} .*\n  {NAMES[0]} cannot be used: .*{words}"):
        load("mnist", data_dir=tmp_path)
    plain = NAMES[0].removesuffix(".gz")
    Path(plain).write_bytes(FILES[NAMES[0]])
    assert_small_set(load("mnist", data_dir=tmp_path))


def test_a_file_that_may_not_be_read_does_not_hide_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path)
    real = os.open

    def refusing(path: str, *arguments: int) -> int:
        if os.fspath(path) == str(tmp_path / NAMES[0]):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr("mpsmnist.user_files.os.open", refusing)
    with pytest.raises(DatasetError, match=f"{NAMES[0]} cannot be used: Permission denied"):
        load("mnist", data_dir=tmp_path)
    (tmp_path / NAMES[0].removesuffix(".gz")).write_bytes(FILES[NAMES[0]])
    assert_small_set(load("mnist", data_dir=tmp_path))


def test_folders_of_the_files_names_hide_nothing(tmp_path: Path) -> None:
    """The archive that Kaggle serves: each file under a dotted name, and again in a folder of its own."""
    for name, array in ARRAYS.items():
        plain = name.removesuffix(".gz")
        (tmp_path / plain).mkdir()
        (tmp_path / plain / plain).write_bytes(idx_bytes(array))
        (tmp_path / plain.replace("-idx", ".idx")).write_bytes(idx_bytes(array))
    assert_small_set(load("mnist", data_dir=tmp_path))


def test_files_under_other_names_are_listed(tmp_path: Path) -> None:
    write_set(tmp_path)
    for name in NAMES[2:]:
        (tmp_path / name).rename(tmp_path / name.replace("t10k", "test"))
    (tmp_path / "MNIST").mkdir()
    message = (
        f"the data folder '{tmp_path}' does not contain mnist: missing {NAMES[2]}, {NAMES[3]} (each may "
        "also be unpacked, without .gz, or have a dot before idx)\n"
        f"  rename test-images-idx3-ubyte.gz to {NAMES[2]}\n"
        f"  rename test-labels-idx1-ubyte.gz to {NAMES[3]}\n"
        "  it holds MNIST/, "
        "test-images-idx3-ubyte.gz, test-labels-idx1-ubyte.gz, " + f"{NAMES[0]}, {NAMES[1]}"
    )
    with pytest.raises(DatasetError) as caught:
        load("mnist", data_dir=tmp_path)
    assert str(caught.value) == message


def test_a_long_list_of_other_files_is_cut(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.png").touch()
    with pytest.raises(DatasetError, match=r"it holds 00.png, .*, 11.png and 8 more$"):
        load("mnist", data_dir=tmp_path)


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DatasetError, match="it cannot be listed: Permission denied"):
        load("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("below", ["raw", "MNIST/raw"])
def test_the_folder_below_that_has_the_files_is_named(tmp_path: Path, below: str) -> None:
    write_set(tmp_path / below)
    with pytest.raises(DatasetError, match=f"its folder '{below}' does contain them: name that one"):
        load("mnist", data_dir=tmp_path)


HTML = b"<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head></html>\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:440f\nsize 9912422\n"


FOREIGN = {
    "html": (HTML, "it is an HTML or XML page, as servers send in place of a file: download it anew"),
    "html_after_a_mark": (b"\xef\xbb\xbf \r\n" + HTML, "it is an HTML or XML page"),
    "html_gzipped": (gzip.compress(HTML), "it is an HTML or XML page"),
    "lfs": (LFS, r"it is a Git LFS pointer, not yet the file \(`git lfs pull` gets it\)$"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "it is an HTML or XML page"),
    "empty": (b"", "it is an empty file$"),
    "empty_gzipped": (gzip.compress(b""), "it is an empty file$"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(40), "it is a HEIC picture, not IDX$"),
    "zip": (b"PK\x03\x04" + bytes(30), "it is a ZIP archive: unpack it"),
    "parquet": (b"PAR1" + bytes(30), "it is a Parquet table"),
    "floats": (
        struct.pack(">BBBB3I", 0, 0, 0x0D, 3, 1, 28, 28) + bytes(4 * 28 * 28),
        r"holds float32, expected uint8 \(IDX type 0x08\)$",
    ),
}


@pytest.mark.parametrize(("content", "words"), FOREIGN.values(), ids=FOREIGN)
def test_what_a_file_is_instead_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    path = write_set(tmp_path) / NAMES[2]
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"^{re.escape(str(path))}: {words}"):
        load("mnist", data_dir=tmp_path)
