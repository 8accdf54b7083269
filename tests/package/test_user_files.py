"""Paths as people write them, and that only regular files are opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mpsmnist import user_files
from mpsmnist.user_files import expand_path, open_regular, reason_of
from support.devices import make_irregular


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~/data", "/home/me/data"),
        ("$PLACE/data", "/home/me/place/data"),
        ("${PLACE}s/data", "/home/me/places/data"),
        ("a/~/$UNSET/data", "a/~/$UNSET/data"),
        ("price$", "price$"),
        ("plain", "plain"),
    ],
)
def test_a_tilde_and_variables(monkeypatch: pytest.MonkeyPatch, written: str, meant: str) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("PLACE", "~/place")
    monkeypatch.delenv("UNSET", raising=False)
    assert expand_path(written) == expand_path(Path(written)) == Path(meant)


def test_a_home_that_nobody_knows_stays_as_it_is() -> None:
    assert expand_path("~no_such_user_here/data") == Path("~no_such_user_here/data")


def test_a_regular_file_and_a_link_to_one_are_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"content"


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a socket", "a device"])
def test_anything_else_is_named_and_not_opened(tmp_path: Path, kind: str) -> None:
    with pytest.raises(OSError, match=f"it is {kind}, expected a file"):
        open_regular(make_irregular(tmp_path / "x", kind))


def test_a_pipe_that_takes_the_files_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    regular = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    before = len(os.listdir("/dev/fd"))
    monkeypatch.setattr(user_files.os, "stat", lambda *_, **__: regular)
    with pytest.raises(OSError, match="it is a pipe"):
        open_regular(path)
    assert len(os.listdir("/dev/fd")) == before


def test_a_missing_file_and_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("absent")
    for name in ("absent", "link"):
        with pytest.raises(FileNotFoundError):
            open_regular(tmp_path / name)


def test_the_reason_of_an_error_is_without_number_and_path(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent") as caught:
        open_regular(tmp_path / "absent")
    assert reason_of(caught.value) == "No such file or directory"
    assert reason_of(OSError("it is gone")) == "it is gone"
