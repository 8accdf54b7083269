"""Downloads: mirrors that fail in every way, and none when offline."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mpsmnist.data import load, mirrors
from mpsmnist.data.sources import SOURCES
from mpsmnist.errors import DatasetError
from support.http_faults import FaultyServer, closed_port
from support.small_mnist import (
    FILES,
    NAMES,
    assert_small_set,
    in_cache,
    small_mnist,
)


def test_download_then_cache(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    use_mirrors("good", "missing")
    dataset = load("auto")
    assert_small_set(dataset)
    assert dataset.source == server.mirror("good")
    assert {name: (cache / "mnist" / name).read_bytes() for name in in_cache(cache)} == FILES
    assert server.requests_to("good") == list(NAMES)

    again = load("auto")
    assert_small_set(again)
    assert again.source == str(cache / "mnist")
    assert server.requests == [f"/good/{name}" for name in NAMES]
    assert capfd.readouterr() == ("", "")


FAULTS = {
    "missing": "404",
    "reset": "reset|broken",
    "wrong": "sent [0-9]+ bytes with SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}",
    "portal": "sent 26 bytes with SHA-256",
    "truncated": "[0-9]+ bytes",
    "short": "sent [0-9]+ bytes with SHA-256",
    "stalled": "timed out",
    "trickling": "too slow: [0-9]+ bytes in ",
    "endless": "sent more than [0-9]+ bytes",
    "silent": "no answer within 1 s|timed out",
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "_CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(mirrors, "_READ_SECONDS", 0.3)
    monkeypatch.setattr(mirrors, "_MIN_BYTES_PER_SECOND", 1e6)


@pytest.mark.parametrize(("fault", "reason"), FAULTS.items())
@pytest.mark.usefixtures("impatient")
def test_a_failing_mirror_is_reported_and_leaves_nothing(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path, fault: str, reason: str
) -> None:
    use_mirrors(fault)
    start = time.monotonic()
    with pytest.raises(DatasetError, match=f"tried:\n  {server.mirror(fault)}{NAMES[0]}: .*({reason})"):
        load("mnist")
    assert time.monotonic() - start < 5
    assert in_cache(cache) == set()
    assert len(server.requests) <= 1  # it is not asked for the other three


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("impatient")
def test_the_next_mirror_makes_up_for_it(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path, fault: str
) -> None:
    use_mirrors(fault, "good")
    dataset = load("mnist")
    assert_small_set(dataset)
    assert dataset.source == server.mirror("good")
    assert in_cache(cache) == set(NAMES)


def test_every_mirror_that_was_tried_is_listed(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    refusing = f"http://127.0.0.1:{closed_port()}/"
    monkeypatch.setitem(
        SOURCES, "mnist", small_mnist(server.mirror("missing"), refusing, server.mirror("portal"))
    )
    with pytest.raises(DatasetError) as caught:
        load("mnist")
    first, *tried = str(caught.value).splitlines()
    absent = cache / "mnist" / NAMES[0]
    assert first == (
        f"mnist is not in the cache ({absent}: cannot be read: No such file or directory)"
        " and it cannot be downloaded; tried:"
    )
    assert [line.split(": ")[0].strip() for line in tried] == [
        mirror + NAMES[0] for mirror in (server.mirror("missing"), refusing, server.mirror("portal"))
    ]
    assert "Connection refused" in tried[1]


def test_mirrors_that_fail_half_way(
    server: FaultyServer, use_mirrors: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second mirror completes what the first began, and both are named."""
    monkeypatch.setattr(
        "support.http_faults._Handler.wrong",
        lambda handler, body: handler.good(body if handler.path.endswith(NAMES[0]) else b"other"),
    )
    use_mirrors("wrong", "good")
    dataset = load("mnist")
    assert_small_set(dataset)
    assert dataset.source == f"{server.mirror('wrong')} and {server.mirror('good')}"
    assert server.requests_to("wrong") == list(NAMES[:2])
    assert server.requests_to("good") == list(NAMES[1:])


@pytest.mark.parametrize("behaviour", ["get_only", "decoding"])
def test_odd_servers_that_must_work(use_mirrors: Callable[..., None], behaviour: str) -> None:
    use_mirrors(behaviour)
    assert_small_set(load("mnist"))


def test_the_structure_is_checked_after_the_checksum(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    source = small_mnist(server.mirror("portal"))
    digest = hashlib.sha256(b"<html>Please log in</html>").hexdigest()
    files = tuple(dataclasses.replace(file, sha256=digest) for file in source.files)
    monkeypatch.setitem(SOURCES, "mnist", dataclasses.replace(source, files=files))
    with pytest.raises(DatasetError, match="not IDX: starts with 3c 68 74 6d"):
        load("mnist")
    assert in_cache(cache) == set()


@pytest.mark.usefixtures("impatient")
def test_mirrors_that_do_not_answer_are_waited_for_together(
    server: FaultyServer, use_mirrors: Callable[..., None]
) -> None:
    use_mirrors(*["silent"] * 5)
    start = time.monotonic()
    with pytest.raises(DatasetError, match=r"tried:(\n .*(no answer within 1 s|timed out).*){5}$"):
        load("mnist")
    assert time.monotonic() - start < 3
    assert server.requests == []


@pytest.mark.usefixtures("impatient")
def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> None:
        release.wait()
        raise socket.gaierror("let go")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(*(f"http://{name}.invalid/" for name in "abc")))
    start = time.monotonic()
    with pytest.raises(DatasetError, match=r"tried:(\n .*no answer within 1 s){3}$"):
        load("mnist")
    assert time.monotonic() - start < 2
    release.set()


def test_progress_is_shown_on_a_terminal(
    use_mirrors: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    use_mirrors("good")
    load("mnist")
    assert terminal.getvalue().count("100%") >= len(NAMES)


@pytest.mark.parametrize(
    ("argument", "environment", "offline"),
    [
        (True, None, True),
        (None, "1", True),
        (True, "0", True),
        (None, None, False),
        (None, "", False),
        (None, "0", False),
        (False, "1", False),
    ],
)
def test_offline(
    server: FaultyServer,
    use_mirrors: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    argument: bool | None,
    environment: str | None,
    offline: bool,
) -> None:
    use_mirrors("good")
    if environment is not None:
        monkeypatch.setenv("MPSMNIST_OFFLINE", environment)
    if offline:
        with pytest.raises(DatasetError, match=r"mnist is not in the cache .*offline"):
            load("mnist", offline=argument)
        assert server.probes == server.requests == []
    else:
        assert_small_set(load("mnist", offline=argument))


@pytest.mark.parametrize("value", ["yes", "true", "2", " 1"])
def test_offline_by_other_words(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MPSMNIST_OFFLINE", value)
    with pytest.raises(ValueError, match=f"MPSMNIST_OFFLINE is '{value}', expected 1 or 0"):
        load("auto")
