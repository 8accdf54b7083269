"""Datasets in the user's own folder."""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mpsmnist.data import load
from mpsmnist.errors import DatasetError
from support.datasets import idx_bytes
from support.devices import make_irregular
from support.small_mnist import (
    ARRAYS,
    FILES,
    LABELS,
    NAMES,
    TRAIN,
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
    assert_small_set(dataset, {"mnist": "mnist", "auto": "custom"}[name])
    assert dataset.source == str(folder)


def write_named(folder: Path, change: Callable[[str], str], packed: bool = False) -> Path:
    """Write the small set under names that are made of the usual ones, without .gz."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in ARRAYS.items():
        data = idx_bytes(array)
        path = folder / change(name.removesuffix(".gz"))
        path.write_bytes(gzip.compress(data) if packed else data)
    return folder


NAMINGS: dict[str, Callable[[str], str]] = {
    "usual": lambda name: name,
    "packed": lambda name: f"{name}.gz",
    "dotted": lambda name: name.replace("-idx", ".idx"),
    "dotted, packed": lambda name: name.replace("-idx", ".idx") + ".gz",
    "test": lambda name: name.replace("t10k", "test"),
    "upper case": lambda name: name.upper() + ".GZ",
    "prefixed": lambda name: f"my-own-{name}",
    "no kind": lambda name: name.replace("-ubyte", ""),
    "another type": lambda name: name.replace("ubyte", "double"),
}


@pytest.mark.parametrize("change", NAMINGS.values(), ids=NAMINGS)
@pytest.mark.parametrize("packed", [False, True])
def test_files_under_the_names_that_they_are_seen_under(
    tmp_path: Path, change: Callable[[str], str], packed: bool
) -> None:
    assert_small_set(load("mnist", data_dir=write_named(tmp_path, change, packed)))


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
        message += "does not exist"
    elif fault == "a file":
        folder.write_bytes(b"")
        message += "is not a folder: name the folder that it is in"
    elif fault == "empty":
        folder.mkdir()
        message += "holds no dataset: expected "
    elif fault == "incomplete":
        (write_set(folder) / NAMES[2]).unlink()
        wanted = "a whole dataset" if name == "auto" else name
        message += f"does not contain {wanted}: missing {NAMES[2]} "
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


def test_files_only_in_folders_of_their_names(tmp_path: Path) -> None:
    for name, array in ARRAYS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(idx_bytes(array))
    assert_small_set(load("mnist", data_dir=tmp_path))


def test_of_several_files_one_is_read_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_set(tmp_path)
    plain = NAMES[0].removesuffix(".gz")
    (tmp_path / plain).write_bytes(b"the packed one has a checksum, so this is not read")
    with caplog.at_level(logging.INFO, "mpsmnist.data"):
        assert_small_set(load("mnist", data_dir=tmp_path))
    assert caplog.messages == [f"{NAMES[0]} is read, not {plain} beside it"]


def test_what_is_missing_and_what_there_is(tmp_path: Path) -> None:
    write_set(tmp_path)
    for name in NAMES[2:]:
        (tmp_path / name).rename(tmp_path / name.replace("t10k", "exam"))
    with pytest.raises(DatasetError) as caught:
        load("mnist", data_dir=tmp_path)
    assert str(caught.value) == (
        f"the data folder '{tmp_path}' does not contain mnist: missing {NAMES[2]}, {NAMES[3]} (each may "
        "also be unpacked, without .gz)\n"
        "  it holds exam-images-idx3-ubyte.gz, exam-labels-idx1-ubyte.gz, " + f"{NAMES[0]}, {NAMES[1]}"
    )


def test_a_long_list_of_other_files_is_cut(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.png").touch()
    with pytest.raises(DatasetError, match=r"it holds 00.png, .*, 11.png and 8 more$"):
        load("mnist", data_dir=tmp_path)


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(
        DatasetError, match=f"^the data folder '{tmp_path}' cannot be listed: Permission denied"
    ):
        load("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("below", ["raw", "MNIST/raw"])
def test_the_folder_below_that_has_the_files(tmp_path: Path, below: str) -> None:
    folder = write_set(tmp_path / below)
    dataset = load("mnist", data_dir=tmp_path)
    assert_small_set(dataset)
    assert dataset.source == str(folder)


def test_what_is_in_the_folder_itself_goes_before_what_is_below(tmp_path: Path) -> None:
    write_set(tmp_path / "MNIST/raw")
    np.savez(tmp_path / "own.npz", x_train=TRAIN, y_train=LABELS % 3)
    assert load(data_dir=tmp_path).num_classes == 3


def test_several_folders_below(tmp_path: Path) -> None:
    """What torchvision leaves: the dataset's name chooses, or the user has to."""
    write_set(tmp_path / "FashionMNIST/raw", train_labels=LABELS[::-1])
    write_set(tmp_path / "MNIST/raw")
    assert_small_set(load("mnist", data_dir=tmp_path))
    dataset = load("fashion-mnist", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_labels, LABELS[::-1])
    assert dataset.classes[9] == "Ankle boot"
    with pytest.raises(
        DatasetError, match=r"several datasets: '.*FashionMNIST/raw', '.*/MNIST/raw': name one"
    ):
        load(data_dir=tmp_path)


def test_prefixes_and_folders_tell_datasets_below_apart(tmp_path: Path) -> None:
    write_named(tmp_path / "a", lambda name: f"mine-{name}")
    write_set(tmp_path / "b")
    with pytest.raises(DatasetError, match=r"several datasets: '.*/a' \(mine\), '.*/b': name one with"):
        load(data_dir=tmp_path)


def test_a_set_without_a_prefix_beside_one_with_it(tmp_path: Path) -> None:
    write_set(tmp_path)
    write_named(tmp_path, lambda name: f"mine-{name}")
    with pytest.raises(DatasetError, match="several datasets: one without a prefix, mine: name one with"):
        load(data_dir=tmp_path)


def test_of_many_datasets_below_some_are_named(tmp_path: Path) -> None:
    for number in range(14):
        write_set(tmp_path / f"set{number:02}")
    with pytest.raises(DatasetError, match=r"several datasets: '.*set00', .*set11' and 2 more: name one"):
        load(data_dir=tmp_path)


def test_prefixes_tell_datasets_apart(tmp_path: Path) -> None:
    """EMNIST's folder: the quirks of a set that is known by its files' names are undone."""
    for prefix, shift in (("emnist-letters", 1), ("emnist-digits", 0)):
        for name, array in ARRAYS.items():
            stored = array + np.uint8(shift) if array.ndim == 1 else array.transpose(0, 2, 1)
            path = tmp_path / f"{prefix}-{name.replace('t10k', 'test')}"
            path.write_bytes(gzip.compress(idx_bytes(stored)))
    dataset = load("emnist-letters", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images, TRAIN)
    np.testing.assert_array_equal(dataset.train_labels, LABELS)
    assert (dataset.classes[0], dataset.num_classes) == ("A", 26)
    with pytest.raises(DatasetError, match="several datasets: emnist-digits, emnist-letters: name one"):
        load(data_dir=tmp_path)
    for path in tmp_path.glob("emnist-digits-*"):
        path.unlink()
    assert load(data_dir=tmp_path).name == "emnist-letters"
    with pytest.raises(DatasetError, match="holds no dataset"):
        load("mnist", data_dir=tmp_path)


def test_what_is_known_by_its_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "packed")
    for name, data in FILES.items():
        (tmp_path / "packed" / name).write_bytes(data)
    assert load(data_dir=tmp_path / "packed").name == "mnist"
    with pytest.raises(DatasetError, match="holds mnist, as its files' names or checksums say, not kmnist"):
        load("kmnist", data_dir=tmp_path / "packed")
    assert load("custom", data_dir=tmp_path / "packed").name == "custom"
    (tmp_path / "half").mkdir()
    for name in NAMES[:2]:
        (tmp_path / "half" / name).write_bytes(FILES[name])
    assert load(data_dir=tmp_path / "half").name == "custom"
    write_named(tmp_path / "plain", lambda name: name)
    assert load(data_dir=tmp_path / "plain").name == "custom"
    sums = {"mnist": tuple(hashlib.sha256(idx_bytes(array)).hexdigest() for array in ARRAYS.values())}
    monkeypatch.setattr("mpsmnist.data.recognition._CONTENT", sums)
    monkeypatch.setattr("mpsmnist.data.recognition._SIZES", [30, 20])
    assert load(data_dir=tmp_path / "plain").name == "mnist"


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
}


@pytest.mark.parametrize(("content", "words"), FOREIGN.values(), ids=FOREIGN)
def test_what_a_file_is_instead_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    path = write_set(tmp_path) / NAMES[2]
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"^{re.escape(str(path))}: {words}"):
        load("mnist", data_dir=tmp_path)
