"""The cache: what is read from it, processes at once, and processes that are killed."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from mpsmnist.data import SyntheticDataWarning, load
from mpsmnist.errors import DatasetError
from support.http_faults import FaultyServer
from support.small_mnist import (
    FILES,
    KEPT,
    NAMES,
    UNPACKED,
    assert_small_set,
    holding_the_lock,
    in_cache,
    small_mnist,
    start_loading,
    write_set,
)

PROCESSES = 20


def failing(number: int) -> Callable[..., None]:
    """A function that fails as the system's calls do."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """The files of a folder: their inodes and when they were changed."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_complete_cache_is_only_read(cache: Path) -> None:
    write_set(cache / "mnist")
    assert_small_set(load("mnist"))  # writes what it has unpacked
    (cache / "mnist" / ".lock").unlink()
    before = snapshot(cache / "mnist")
    assert set(before) == KEPT
    assert_small_set(load("mnist"))
    assert snapshot(cache / "mnist") == before


def test_a_broken_file_in_the_cache_is_downloaded_again(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path
) -> None:
    broken = write_set(cache / "mnist") / NAMES[2]
    broken.write_bytes(FILES[NAMES[2]][:100])
    with pytest.raises(DatasetError, match=re.escape(f"{broken}: damaged gzip data")):
        load("mnist", offline=True)
    use_mirrors("good")
    assert_small_set(load("mnist"))
    assert server.requests_to("good") == [NAMES[2]]


def test_processes_at_once_download_once(server: FaultyServer, cache: Path) -> None:
    children = [start_loading(small_mnist(server.mirror("gated"))) for _ in range(PROCESSES)]
    assert server.holding.wait(30)
    time.sleep(0.5)  # long enough for all to want the lock; too short would only make the test easier
    assert server.requests_to("gated") == [NAMES[0]]
    server.release.set()
    assert [pipe.recv() for _, pipe in children] == ["loaded"] * PROCESSES
    for process, _ in children:
        process.join()
    assert server.requests_to("gated") == list(NAMES)
    assert in_cache(cache) == KEPT


def test_killed_while_downloading(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path
) -> None:
    process, _ = start_loading(small_mnist(server.mirror("unfinished")))
    deadline = time.monotonic() + 30
    while not list((cache / "mnist").glob(".mpsmnist.*.tmp")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.join()
    assert len(in_cache(cache)) == 1

    use_mirrors("good")
    assert_small_set(load("mnist"))
    assert in_cache(cache) == KEPT


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes")
def test_a_full_disk_is_not_the_mirrors_fault(server: FaultyServer, cache: Path) -> None:
    source = small_mnist(server.mirror("good"), server.mirror("gated"))
    process, pipe = start_loading(source, largest_file=1000)
    assert re.search(r"cannot be downloaded: .*train-images.* cannot be written: File too large", pipe.recv())
    process.join()
    assert in_cache(cache) == set()
    assert server.requests == [f"/good/{NAMES[0]}"]


def test_a_lock_that_is_never_released(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mpsmnist.data.cache._PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("mpsmnist.data.cache._LOCK_SECONDS", 0.1)
    monkeypatch.setattr("mpsmnist.data.downloaded._USUAL_RATE", 1e9)
    caplog.set_level(logging.INFO, "mpsmnist.data")
    with (
        holding_the_lock(cache / "mnist"),
        pytest.raises(DatasetError, match=r"another process has held .*\.lock for 0 s"),
    ):
        load("mnist")
    assert "another process is downloading mnist: waiting for it, at most 0 s" in caplog.messages


@pytest.mark.usefixtures("drawings")
def test_waiting_for_another_process_ends_with_ctrl_c(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mpsmnist.data.cache._PATIENCE_SECONDS", 0.1)
    caplog.set_level(logging.INFO, "mpsmnist.data")
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    with holding_the_lock(cache / "synthetic"):
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            load("synthetic")
    timer.join()
    assert "another process is drawing the synthetic digits: waiting for it" in caplog.text


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks(
    use_mirrors: Callable[..., None],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(number))
    caplog.set_level(logging.INFO, "mpsmnist.data")
    use_mirrors("good")
    others = cache / "mnist" / ".mpsmnist.0123456789abcdef.tmp"
    others.parent.mkdir(parents=True)
    others.write_bytes(b"being written by another process, for all that is known")
    assert_small_set(load("mnist"))
    assert in_cache(cache) == {*KEPT, others.name}
    (cache / "mnist" / UNPACKED).unlink()
    assert_small_set(load("mnist"))
    assert sum("has no locks" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_neither_read_nor_replaced(
    use_mirrors: Callable[..., None], cache: Path, drawings: list[int], kind: str
) -> None:
    load("synthetic")
    (cache / "mnist").mkdir()
    drawn = cache / "synthetic" / "synthetic.npz"
    drawn.unlink()
    for path in (cache / "mnist" / NAMES[1], drawn):
        path.mkdir() if kind == "folder" else os.mkfifo(path)
    use_mirrors("good")
    refusal = f"cannot be written: it is a {kind}, expected a file"
    with pytest.raises(DatasetError, match=f"{NAMES[1]} {refusal}"):
        load("mnist")
    with pytest.warns(UserWarning, match=f"{drawn} {refusal}"):
        assert load("synthetic").source == "generated"


def test_the_caches_path_may_have_a_tilde_and_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", "elsewhere")
    monkeypatch.setenv("MPSMNIST_CACHE_DIR", "~/$PLACE")
    write_set(tmp_path / "elsewhere" / "mnist")
    assert_small_set(load("mnist"))


def test_a_cache_that_cannot_be_written(
    server: FaultyServer,
    use_mirrors: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    drawings: list[int],
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MPSMNIST_CACHE_DIR", str(tmp_path / "file" / "cache"))
    use_mirrors("good")
    obstacle = f"cannot be written: {re.escape(str(tmp_path))}/file is a file, expected a folder"
    message = f"the cache folder {re.escape(str(tmp_path))}/file/cache/mnist {obstacle}"
    with pytest.raises(DatasetError, match=message):
        load("mnist")
    assert server.probes == server.requests == []

    with pytest.warns(UserWarning, match=f"not kept for the next run: the cache folder .*{obstacle}"):
        assert load("synthetic").source == "generated"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert load("auto").name == "synthetic"
    assert [warning.category for warning in caught] == [SyntheticDataWarning, UserWarning]
    assert drawings == [0, 0]


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("", "a file, expected a folder"),
        ("/mnist", "a file, expected a folder"),
        ("/mnist", "a link, expected a folder"),
        ("/mnist/.lock", "a folder, expected a file"),
        ("/mnist/.lock", "a link, expected a file"),
    ],
)
def test_what_is_in_the_way_of_the_cache_is_named(
    use_mirrors: Callable[..., None], cache: Path, place: str, kind: str
) -> None:
    path = Path(f"{cache}{place}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind.startswith("a file"):
        path.write_bytes(b"")
    elif kind.startswith("a link"):
        path.symlink_to("absent")
    else:
        path.mkdir()
    use_mirrors("good")
    message = f"the cache folder {cache}/mnist cannot be written: {path} is {kind}"
    with pytest.raises(DatasetError, match=f"{re.escape(message)}$"):
        load("mnist")
