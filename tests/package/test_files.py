"""Atomic writes: whole or absent, through errors, kills, crowds and what others put in the way."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mpsmnist.files import atomic_write

LEFTOVER = ".mpsmnist.0123456789abcdef.tmp"


def write(path: Path, data: bytes) -> None:
    with atomic_write(path) as file:
        file.write(data)


def test_the_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError()])
def test_an_error_in_the_block_keeps_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic_write(path) as file:
            file.write(b"half of the")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_longest_name_will_do(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write(path, b"data")
    assert path.read_bytes() == b"data"


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "any").write_bytes(b"")
    write(tmp_path / "file", b"data")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("any", "file")}
    assert len(modes) == 1


def test_bytes_reach_the_disk_before_the_rename_and_the_rename_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        calls.append("folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes")
        fsync(descriptor)

    def record_replace(*arguments: Any) -> None:
        calls.append("rename")
        replace(*arguments)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    write(tmp_path / "file", b"data")
    assert calls == ["4 bytes", "rename", "folder"]


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = {"other.tmp", ".mpsmnist.toml", "mpsmnist.tmp", ".mpsmnist"}
    for name in (*kept, LEFTOVER, ".mpsmnist.42.tmp"):
        (tmp_path / name).write_bytes(b"something")
    write(tmp_path / "file", b"data")
    assert set(os.listdir(tmp_path)) == {"file", *kept}


def test_a_file_that_is_being_written_is_not_a_leftover(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "slow") as slow:
        slow.write(b"slow")
        write(tmp_path / "quick", b"quick")
    assert (tmp_path / "slow").read_bytes() == b"slow"
    assert set(os.listdir(tmp_path)) == {"slow", "quick"}


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, pathlib\n"
        "from mpsmnist.files import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 1
    write(tmp_path / "another", b"data")
    assert os.listdir(tmp_path) == ["another"]


def test_a_writer_whose_new_file_was_taken_for_a_leftover_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may remove the file after it is created and before it is locked."""
    flock = fcntl.flock
    removed = []

    def remove_first(file: Any, operation: int) -> None:
        if not removed:
            removed.append(file.name)
            os.unlink(file.name)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    write(tmp_path / "file", b"data")
    assert len(removed) == 1
    assert (tmp_path / "file").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_others_put_in_the_way_is_neither_followed_nor_waited_for(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    planted = tmp_path / LEFTOVER
    if kind == "link":
        planted.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(planted)
    else:
        planted.mkdir()
    write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    assert victim.read_bytes() == b"precious"
    assert os.path.islink(planted) == (kind == "link")


def test_a_guessed_name_is_not_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / LEFTOVER).symlink_to(victim)
    monkeypatch.setattr(secrets, "token_hex", lambda _length: "0123456789abcdef")
    with pytest.raises(FileExistsError):
        write(tmp_path / "file", b"data")
    assert victim.read_bytes() == b"precious"
