"""The cache: what is read from it, processes at once, and processes that are killed."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mpsmnist.data import SyntheticDataWarning, load
from mpsmnist.data.cache import CacheError, locked
from mpsmnist.data.downloaded import fetch
from mpsmnist.data.sources import SOURCES
from mpsmnist.errors import DatasetError
from support.datasets import idx_bytes
from support.http_faults import FaultyServer
from support.small_mnist import (
    ARRAYS,
    FILES,
    KEPT,
    LABELS,
    NAMES,
    UNPACKED,
    assert_small_set,
    holding_the_lock,
    in_cache,
    small_mnist,
    start_loading,
    write_downloads,
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


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "absent"])
def test_damaged_arrays_are_unpacked_again(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path, damage: str
) -> None:
    use_mirrors("good")
    load("mnist")
    path = cache / "mnist" / UNPACKED
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes({"flipped": flipped, "truncated": whole[:-1000]}.get(damage, b""))
    if damage == "absent":
        path.unlink()
    assert_small_set(load("mnist", offline=True))
    before = snapshot(cache / "mnist")
    assert_small_set(load("mnist", offline=True))
    assert snapshot(cache / "mnist") == before
    assert server.requests_to("good") == list(NAMES)


def test_damaged_arrays_and_downloads_are_downloaded_again(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path
) -> None:
    use_mirrors("good")
    load("mnist")
    (cache / "mnist" / UNPACKED).write_bytes(b"PK")
    for name in NAMES[1:3]:
        (cache / "mnist" / name).write_bytes(FILES[name][:50])
    assert_small_set(load("mnist"))
    assert server.requests_to("good") == [*NAMES, *NAMES[1:3]]


def test_arrays_of_other_downloads_are_not_used(cache: Path) -> None:
    """Also if those have the same sizes."""
    for labels in (LABELS, LABELS[::-1]):
        write_set(cache / "mnist", train_labels=labels)
        (cache / "mnist" / NAMES[1]).write_bytes(idx_bytes(labels))
        np.testing.assert_array_equal(load("mnist").train_labels, labels)
        np.testing.assert_array_equal(load("mnist").train_labels, labels)


def test_arrays_of_another_form_are_not_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(cache / "mnist")
    load("mnist")
    before = snapshot(cache / "mnist")
    monkeypatch.setattr("mpsmnist.data.downloaded._FORM", 1000)
    load("mnist")
    assert {name for name, state in snapshot(cache / "mnist").items() if state != before[name]} == {UNPACKED}


def test_after_waiting_the_arrays_of_the_other_process_are_used(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(cache / "mnist")
    load("mnist")
    cache.rename(cache.with_name("ready"))

    @contextmanager
    def wait(folder: Path, *_: object) -> Iterator[None]:
        shutil.copytree(cache.with_name("ready") / "mnist", folder)
        yield

    monkeypatch.setattr("mpsmnist.data.downloaded.locked", wait)
    monkeypatch.setattr("mpsmnist.data.downloaded.read_downloads", None)
    assert_small_set(load("mnist"))


def test_arrays_do_without_what_they_were_made_from(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads are kept, but nothing of them is unpacked again."""
    write_set(cache / "mnist")
    load("mnist")
    monkeypatch.setattr("mpsmnist.data.downloaded.read_downloads", None)
    assert_small_set(load("mnist"))


def test_a_folder_of_the_users_is_only_read(tmp_path: Path, cache: Path) -> None:
    before = snapshot(write_set(tmp_path / "mine"))
    assert_small_set(load("mnist", data_dir=tmp_path / "mine"))
    assert snapshot(tmp_path / "mine") == before
    assert not cache.exists()


def test_offline_nothing_is_made_in_an_absent_cache(cache: Path) -> None:
    message = (
        f"mnist is not in the cache (there is no {cache}/mnist) and the network may not be used (offline)"
    )
    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        load("mnist", offline=True)
    assert not cache.exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_cache_that_can_only_be_read_is_read(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """Root may write anywhere, so opening for writing is refused by the test."""
    write_set(cache / "mnist")
    monkeypatch.setattr(os, "open", refusing_to_write(number))
    caplog.set_level(logging.INFO, "mpsmnist.data")
    before = snapshot(cache / "mnist")
    for _ in range(2):
        assert_small_set(load("mnist"))
    assert snapshot(cache / "mnist") == before
    assert caplog.messages == [
        f"mnist is not kept unpacked, which would load faster: the cache folder {cache}/mnist cannot be "
        f"written: {os.strerror(number)}: name a folder that can be written with MPSMNIST_CACHE_DIR"
    ]


def test_a_cache_that_can_only_be_read_and_has_not_all_says_what_to_do(
    use_mirrors: Callable[..., None], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (write_set(cache / "mnist") / NAMES[3]).unlink()
    use_mirrors("good")
    monkeypatch.setattr(os, "open", refusing_to_write(errno.EROFS))
    message = (
        f"mnist is not in the cache ({cache}/mnist/{NAMES[3]}: cannot be read: No such file or directory) "
        f"and it cannot be downloaded: the cache folder {cache}/mnist cannot be written: Read-only file "
        "system: name a folder that can be written with MPSMNIST_CACHE_DIR"
    )
    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        load("mnist")


def refusing_to_write(number: int) -> Callable[..., int]:
    """os.open() on a file system that can only be read."""
    original = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(number, os.strerror(number))
        return original(path, flags, mode, **options)

    return refuse


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_says_how_much_to_free(
    use_mirrors: Callable[..., None], cache: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    use_mirrors("good")
    monkeypatch.setattr(os, "fsync", failing(number))
    message = (
        f"{cache}/mnist/{NAMES[0]} cannot be written: {os.strerror(number)}: free 1 MB there, or name a "
        "folder elsewhere with MPSMNIST_CACHE_DIR"
    )
    with pytest.raises(DatasetError, match=f"it cannot be downloaded: {re.escape(message)}$"):
        load("mnist")
    assert in_cache(cache) == set()


def test_a_disk_that_is_full_costs_only_the_unpacked_arrays(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_set(cache / "mnist")
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    caplog.set_level(logging.INFO, "mpsmnist.data")
    for _ in range(2):
        dataset = load("mnist")
        assert_small_set(dataset)
        dataset.train_images[0] = 0  # it may be written to, as if it had been kept
    assert in_cache(cache) == set(NAMES)
    assert caplog.messages == [
        f"mnist is not kept unpacked, which would load faster: {cache}/mnist/mnist.npz cannot be written: No "
        "space left on device: free 1 MB there, or name a folder elsewhere with MPSMNIST_CACHE_DIR"
    ]


def test_fetching_replaces_what_has_other_sums(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path
) -> None:
    """Loading takes files that can be read, whatever their sums."""
    other = gzip.compress(idx_bytes(ARRAYS[NAMES[3]][::-1]))
    (write_downloads(cache / "mnist") / NAMES[3]).write_bytes(other)
    use_mirrors("good")
    np.testing.assert_array_equal(load("mnist").test_labels, ARRAYS[NAMES[3]][::-1])
    assert server.requests == []
    for _ in range(2):
        assert_small_set(fetch(SOURCES["mnist"]))
    assert server.requests_to("good") == [NAMES[3]]
    assert_small_set(load("mnist", offline=True))


def test_fetching_what_is_there_writes_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_downloads(cache / "mnist")
    load("mnist")
    monkeypatch.setattr(os, "open", refusing_to_write(errno.EROFS))
    before = snapshot(cache / "mnist")
    assert_small_set(fetch(SOURCES["mnist"]))
    assert snapshot(cache / "mnist") == before


def test_fetching_into_a_cache_that_cannot_be_written(cache: Path) -> None:
    cache.write_bytes(b"")
    message = (
        f"mnist: it cannot be downloaded: the cache folder {cache}/mnist cannot be written: {cache} is a file"
    )
    with pytest.raises(DatasetError, match=f"^{message}"):
        fetch(SOURCES["mnist"])


def test_a_broken_file_in_the_cache_is_downloaded_again(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path
) -> None:
    broken = write_downloads(cache / "mnist") / NAMES[2]
    broken.write_bytes(FILES[NAMES[2]][:100])
    with pytest.raises(DatasetError, match=re.escape(f"{broken}: damaged gzip data")):
        load("mnist", offline=True)
    use_mirrors("good")
    assert_small_set(load("mnist"))
    assert server.requests_to("good") == [NAMES[2]]


def test_processes_at_once_download_once(server: FaultyServer, cache: Path) -> None:
    process, pipe = start_loading(small_mnist(server.mirror("gated")), processes=PROCESSES)
    assert server.holding.wait(30)
    time.sleep(0.5)  # long enough for all to want the lock; too short would only make the test easier
    assert server.requests_to("gated") == [NAMES[0]]
    server.release.set()
    assert [pipe.recv() for _ in range(PROCESSES)] == ["loaded"] * PROCESSES
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


def test_kills_at_any_moment_leave_nothing_that_is_not_whole_and_nothing_that_grows(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "support.loader", str(tmp_path), "15"]
    tests = Path(__file__).parents[1]
    done = subprocess.run(program, cwd=tests, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert sum(result["moments"].values()) == 15
    assert len(result["moments"]) > 1
    assert result["most"] <= 1


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


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES])
def test_a_lock_of_another_process_is_waited_for(
    cache: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    answers = [failing(number), failing(number), lambda *_: None, lambda *_: None]
    monkeypatch.setattr(fcntl, "flock", lambda *_: answers.pop(0)())
    with locked(cache, "testing"):
        assert len(answers) == 1  # to unlock it


def test_a_lock_that_cannot_be_had(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.EIO))
    message = f"the cache folder {cache} cannot be locked: Input/output error"
    with pytest.raises(CacheError, match=f"^{message}$"), locked(cache, "testing"):
        pass


def test_a_forked_process_does_not_keep_the_lock(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpsmnist.data.cache._LOCK_SECONDS", 0.0)
    life, alive = os.pipe()
    with locked(cache, "testing"):
        child = os.fork()
        if child == 0:
            os.close(alive)
            os.read(life, 1)
            os._exit(0)
    with locked(cache, "testing"):
        pass
    os.close(alive)
    os.waitpid(child, 0)
    os.close(life)


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
