"""Datasets in the user's own folder."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from mpsmnist.data import load
from mpsmnist.errors import DatasetError
from support.datasets import idx_bytes
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
    message = f"{given_by} is '{folder}', which "
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
