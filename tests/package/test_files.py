"""Atomic writes: whole or absent, through errors, kills, crowds and what others put in the way."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mpsmnist.files import atomic_write, rehearse_write, remove_leftovers, resolve
from support.devices import make_irregular, null_device

LEFTOVER = ".mpsmnist.0123456789abcdef.tmp"


def age(path: Path) -> None:
    """Make the file look as if nobody had written to it for two hours."""
    then = time.time() - 7200
    os.utime(path, (then, then))


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
        age(tmp_path / name)
    write(tmp_path / "file", b"data")
    assert set(os.listdir(tmp_path)) == {"file", *kept}


def test_leftovers_are_removed_at_once_where_nobody_can_be_writing(tmp_path: Path) -> None:
    kept = {"other.tmp", ".mpsmnist.toml"}
    for name in (*kept, LEFTOVER):
        (tmp_path / name).write_bytes(b"something")
    remove_leftovers(tmp_path)
    assert set(os.listdir(tmp_path)) == kept
    remove_leftovers(tmp_path / "absent")


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
    (left,) = tmp_path.iterdir()
    age(left)
    write(tmp_path / "another", b"data")
    assert os.listdir(tmp_path) == ["another"]


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
    if kind != "link":
        age(planted)
    write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    assert victim.read_bytes() == b"precious"
    assert os.path.islink(planted) == (kind == "link")


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
def test_a_name_that_is_taken_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    planted = tmp_path / LEFTOVER
    if kind == "link":
        planted.symlink_to(victim)
    elif kind == "hard link":
        planted.hardlink_to(victim)
    else:
        os.mkfifo(planted)
    monkeypatch.setattr(secrets, "token_hex", lambda _length: "0123456789abcdef")
    with pytest.raises(FileExistsError):
        write(tmp_path / "file", b"data")
    assert victim.read_bytes() == b"precious"
    assert set(os.listdir(tmp_path)) == {"victim", LEFTOVER}


@pytest.mark.parametrize("act", [lambda path: write(path, b"data"), rehearse_write])
@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a socket"])
def test_only_files_are_replaced(tmp_path: Path, kind: str, act: Callable[[Path], None]) -> None:
    make_irregular(tmp_path / "file", kind)
    before = os.lstat(tmp_path / "file")
    with pytest.raises(OSError, match=f"it is {kind}, expected a file"):
        act(tmp_path / "file")
    assert os.path.samestat(os.lstat(tmp_path / "file"), before)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("act", [lambda path: write(path, b"data"), rehearse_write])
def test_a_device_is_not_replaced(tmp_path: Path, act: Callable[[Path], None]) -> None:
    device = null_device(tmp_path)
    with pytest.raises(OSError, match="it is a device, expected a file"):
        act(device)
    assert stat.S_ISCHR(os.stat(device).st_mode)


def test_a_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "hard").hardlink_to(tmp_path / "target")
    write(tmp_path / "link", b"data")
    write(tmp_path / "hard", b"data")
    assert (tmp_path / "target").read_bytes() == b"precious"
    assert (tmp_path / "link").read_bytes() == (tmp_path / "hard").read_bytes() == b"data"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_the_mode_of_a_file_is_kept_and_its_new_bytes_are_never_more_public(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    with atomic_write(path) as file:
        file.write(b"new")
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_of_a_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    os.chown(path, 12345, 23456)
    write(path, b"new")
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12345, 23456, 0o640)


def test_a_temporary_file_is_created_private_when_the_old_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also between its creation and the change of its mode, and where modes cannot be changed."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o600)
    monkeypatch.setattr(os, "fchmod", failing(errno.EPERM))
    write(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM])
@pytest.mark.parametrize("call", ["fchmod", "fchown", "scandir"])
def test_what_a_file_system_lacks_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(code))
        write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(code))
    monkeypatch.setattr(fcntl, "lockf", failing(code))
    write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_fsync_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    caplog.set_level(logging.INFO, "mpsmnist")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(code))
        for _ in range(2):
            write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["file"]
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_a_folder_that_cannot_be_flushed_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    """It is said, once, where the file system lacks the call."""
    caplog.set_level(logging.INFO, "mpsmnist")
    fsync = os.fsync

    def fail_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    for _ in range(2):
        write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    said = f"the file system of {tmp_path} cannot flush: a power failure may undo what was just written"
    assert caplog.messages == ([said] if code in (errno.EINVAL, errno.ENOTSUP) else [])


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_bytes_that_do_not_reach_the_disk_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", failing(code))
    with pytest.raises(OSError, match=os.strerror(code)):
        write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_rehearsal_finds_a_full_disk_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    (tmp_path / "file").write_bytes(b"old")
    code = (
        "import pathlib, resource, signal, sys\n"
        "from mpsmnist.files import rehearse_write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "rehearse_write(pathlib.Path(sys.argv[1]), 10_000)\n"
        "try:\n"
        "    rehearse_write(pathlib.Path(sys.argv[1]), 10_001)\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "file")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "File too large\n"), done.stderr
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_rehearsal_refuses_a_write_protected_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)  # root may write to any file
    with pytest.raises(PermissionError, match="it is write-protected"):
        rehearse_write(tmp_path / "file")


@pytest.mark.parametrize("length", [256, 300])
def test_a_rehearsal_finds_a_name_that_is_too_long(tmp_path: Path, length: int) -> None:
    rehearse_write(tmp_path / ("n" * 255))
    with pytest.raises(OSError, match="File name too long"):
        rehearse_write(tmp_path / ("n" * length))
    assert os.listdir(tmp_path) == []


def test_resolve_goes_to_the_end_of_links(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to(tmp_path / "absent")
    assert resolve(tmp_path / "a") == Path(os.path.realpath(tmp_path)) / "absent"
    (tmp_path / "round").symlink_to("about")
    (tmp_path / "about").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links"):
        resolve(tmp_path / "round")
