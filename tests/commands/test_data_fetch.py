"""`mpsmnist data fetch`: what is downloaded, what is not, and what is said of it."""

from __future__ import annotations

import errno
import gzip
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from mpsmnist.commands.main import main
from mpsmnist.data import DATASETS, fetch, load
from mpsmnist.data.sources import SOURCES
from mpsmnist.errors import DatasetError
from support.commands import Call
from support.http_faults import FaultyServer
from support.small_sets import TRAIN_IMAGES, small_set
from support.terminal import Terminal

FETCH = ["data", "fetch"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, mirror: FaultyServer) -> Path:
    return tmp_path / "cache"


def test_what_was_fetched_loads_without_the_network(call: Call, cache: Path, mirror: FaultyServer) -> None:
    code, out, err = call(main, [*FETCH, "mnist"])
    assert (code, len(out.splitlines())) == (0, 1)
    assert out.startswith(f"mnist: fetched from {mirror.mirror('good')}, ")
    assert out.endswith(f" kB in {cache / 'mnist'}\n")
    for file in SOURCES["mnist"].files:
        assert f"mpsmnist data fetch: downloading {file.name} from 127.0.0.1" in err
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    dataset = load("mnist", offline=True)
    np.testing.assert_array_equal(dataset.train_images, small_set("mnist").images[:TRAIN_IMAGES])
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before  # the arrays were made, too


def test_what_is_there_is_not_fetched_again(call: Call, cache: Path, mirror: FaultyServer) -> None:
    assert call(main, [*FETCH, "mnist", "mnist"])[1].count("\n") == 1
    assert len(mirror.requests) == 4
    code, out, err = call(main, [*FETCH, "mnist"])
    assert (code, err) == (0, "")
    assert out.startswith("mnist: already in the cache, ")
    assert out.endswith(f" kB in {cache / 'mnist'}\n")
    assert len(mirror.requests) == 4


def test_sets_of_one_archive_share_it(call: Call, mirror: FaultyServer) -> None:
    code, out, _ = call(main, [*FETCH, "emnist-letters", "qmnist", "emnist-balanced"])
    assert code == 0
    assert [line.split(", ")[0] for line in out.splitlines()] == [
        f"emnist-letters: fetched from {mirror.mirror('good')}",
        f"qmnist: fetched from {mirror.mirror('good')}",
        "emnist-balanced: already in the cache",
    ]
    assert mirror.requests_to("good").count("gzip.zip") == 1
    assert load("emnist-balanced", offline=True).num_classes == 47


def test_a_failure_lists_the_mirrors_and_the_others_are_fetched(
    call: Call, mirror: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [mirror.mirror(behaviour) for behaviour in ("missing", "wrong")]
    monkeypatch.setitem(SOURCES, "mnist", small_set("mnist").from_mirrors(*bad))
    code, out, err = call(main, [*FETCH, "mnist", "kmnist", "qmnist"])
    assert code == 1
    assert [line.split(",")[0] for line in out.splitlines()] == [
        f"qmnist: fetched from {mirror.mirror('good')}"
    ]
    first = SOURCES["mnist"].files[0].name
    for name in ("mnist", "kmnist"):
        assert f"mpsmnist data fetch: {name}: it cannot be downloaded; tried:\n  http://" in err
    assert f"{bad[0]}{first}: HTTP status 404" in err
    assert f"{bad[1]}{first}: sent " in err
    assert f"{SOURCES['kmnist'].mirrors[0]}{first}: Connection refused" in err


def test_a_damaged_file_is_fetched_again(call: Call, cache: Path, mirror: FaultyServer) -> None:
    call(main, [*FETCH, "mnist"])
    name = SOURCES["mnist"].files[2].name
    whole = (cache / "mnist" / name).read_bytes()
    (cache / "mnist" / name).write_bytes(whole[:10] + bytes([whole[10] ^ 1]) + whole[11:])
    code, out, _ = call(main, [*FETCH, "mnist"])
    assert (code, out.split(",")[0]) == (0, f"mnist: fetched from {mirror.mirror('good')}")
    assert mirror.requests_to("good")[4:] == [name]
    assert (cache / "mnist" / name).read_bytes() == whole


def test_without_the_network_only_what_is_there(
    call: Call, mirror: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(main, [*FETCH, "mnist"])
    requests = len(mirror.requests)
    monkeypatch.setenv("MPSMNIST_OFFLINE", "1")
    code, out, err = call(main, [*FETCH, "qmnist", "mnist"])
    assert code == 1
    assert out.startswith("mnist: already in the cache, ")
    folder = Path(os.environ["MPSMNIST_CACHE_DIR"]) / "qmnist"
    absent = f"{folder / SOURCES['qmnist'].files[0].name}: cannot be read: No such file or directory"
    assert err == (
        f"mpsmnist data fetch: qmnist is not in the cache ({absent}) and MPSMNIST_OFFLINE is 1, "
        "which forbids the network\n"
    )
    assert len(mirror.requests) == requests
    monkeypatch.setenv("MPSMNIST_OFFLINE", "yes")
    code, _, err = call(main, [*FETCH, "mnist"])
    assert (code, err.splitlines()[0]) == (2, "Help: mpsmnist data fetch --help")


def test_without_the_network_what_has_other_sums_is_not_taken(
    call: Call, cache: Path, mirror: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would be called right here, and bad by `data verify`, which names this command as the remedy."""
    call(main, [*FETCH, "mnist"])
    path = cache / "mnist" / SOURCES["mnist"].files[1].name
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=1))
    monkeypatch.setenv("MPSMNIST_OFFLINE", "1")
    code, out, err = call(main, [*FETCH, "mnist"])
    assert (code, out) == (1, "")
    assert f"mnist is not in the cache ({path}: has SHA-256 " in err
    assert err.endswith(" and MPSMNIST_OFFLINE is 1, which forbids the network\n")


def test_a_folder_of_the_users_is_not_looked_at(
    call: Call, data_dir: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPSMNIST_DATA_DIR", str(data_dir))
    assert call(main, [*FETCH, "mnist"])[0] == 0
    assert (cache / "mnist" / SOURCES["mnist"].files[0].name).is_file()


def test_synthetic_digits_are_drawn(
    call: Call, cache: Path, mirror: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = small_set("mnist")[1:3]
    few = (images[:30], labels[:30], images[30:40], labels[30:40])
    monkeypatch.setattr("mpsmnist.data.synthetic.generate", lambda seed=0: few)
    code, out, _ = call(main, [*FETCH, "synthetic"])
    assert (code, out.split(",")[0]) == (0, "synthetic: drawn")
    assert out.endswith(f" in {cache / 'synthetic'}\n")
    assert call(main, [*FETCH, "synthetic"])[1].startswith("synthetic: already in the cache, ")
    assert mirror.requests == []


def test_synthetic_digits_that_cannot_be_kept(
    call: Call, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file of another user stays, and nobody is told that it has the digits."""
    images, labels = small_set("mnist")[1:3]
    monkeypatch.setattr("mpsmnist.data.synthetic.generate", lambda seed=0: (images, labels, images, labels))
    call(main, [*FETCH, "synthetic"])
    path = cache / "synthetic" / "synthetic.npz"
    path.write_bytes(path.read_bytes()[:-1])
    monkeypatch.setattr("mpsmnist.data.cache.atomic_write", refuse)
    monkeypatch.setenv("MPSMNIST_OFFLINE", "1")
    code, out, err = call(main, [*FETCH, "synthetic"])
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == (
        f"mpsmnist data fetch: synthetic: the digits cannot be kept: {path} cannot be written: Permission "
        "denied: name a folder that can be written with MPSMNIST_CACHE_DIR"
    )
    with pytest.raises(DatasetError, match=r"^synthetic: the digits cannot be kept: "):
        fetch("synthetic")
    with pytest.warns(UserWarning, match="not kept for the next run"):
        assert load("synthetic").source == "generated"


def refuse(*_: object) -> NoReturn:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize("name", ["mnist", "synthetic"])
def test_a_cache_that_cannot_be_written(
    call: Call, cache: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = small_set("mnist")[1:3]
    monkeypatch.setattr("mpsmnist.data.synthetic.generate", lambda seed=0: (images, labels, images, labels))
    cache.write_text("in the way")
    code, out, err = call(main, [*FETCH, name])
    assert (code, out) == (1, "")
    assert f"{cache} is a file, expected a folder" in err


@pytest.mark.parametrize("name", ["mnist", "synthetic"])
def test_without_a_home_there_is_no_cache(call: Call, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = small_set("mnist")[1:3]
    monkeypatch.setattr("mpsmnist.data.synthetic.generate", lambda seed=0: (images, labels, images, labels))
    monkeypatch.delenv("MPSMNIST_CACHE_DIR")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/cache")
    code, out, err = call(main, [*FETCH, name])
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.endswith("this user has no home folder for the cache: set HOME or MPSMNIST_CACHE_DIR\n")


def test_a_terminal_shows_how_far_a_download_is(
    call: Call, mirror: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert call(main, [*FETCH, "emnist-letters"])[0] == 0
    assert any(line.startswith("gzip.zip: ") for line in terminal.getvalue().split("\r"))


def test_ctrl_c_ends_a_download(
    call: Call, cache: Path, mirror: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "mnist", small_set("mnist").from_mirrors(mirror.mirror("stalled")))

    def interrupt() -> None:
        assert mirror.holding.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code, out, err = call(main, [*FETCH, "mnist"])
    thread.join()
    assert (code, out) == (130, "")
    assert err.endswith("mpsmnist data fetch: interrupted\n")
    assert [path.name for path in cache.rglob("*") if path.is_file()] == [".lock"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnist", "fashion-minst"], "; did you mean fashion-mnist?"),
        (["emnist"], "; did you mean emnist-balanced?"),
        (["custom"], "invalid choice: 'custom'"),
        (["auto"], "invalid choice: 'auto'"),
        ([], "the following arguments are required: NAME"),
        (["mnist", "--offline"], "unrecognized arguments: --offline"),
    ],
)
def test_names_that_cannot_be_fetched(
    call: Call, mirror: FaultyServer, arguments: list[str], message: str
) -> None:
    code, out, err = call(main, [*FETCH, *arguments])
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == "Help: mpsmnist data fetch --help"
    assert message in err.splitlines()[-1]
    assert mirror.requests == []


def test_fetching_from_python(cache: Path, mirror: FaultyServer) -> None:
    assert fetch("mnist").source == mirror.mirror("good")
    assert fetch("mnist").source == str(cache / "mnist")
    known = ", ".join(name for name in DATASETS if name not in ("auto", "custom"))
    with pytest.raises(ValueError, match=f"^name is 'custom', expected one of {known}$"):
        fetch("custom")
