"""Downloads: mirrors that fail in every way, and none when offline."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import logging
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mpsmnist.data import load, transfer
from mpsmnist.data.sources import SOURCES, single_file
from mpsmnist.errors import DatasetError
from support.http_faults import ANSWERS, FaultyServer, closed_port
from support.memory import peak
from support.secure import Certificate, make_certificate, proxying, secure, serving_securely
from support.small_mnist import (
    FILES,
    KEPT,
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
    assert in_cache(cache) == KEPT
    assert {name: (cache / "mnist" / name).read_bytes() for name in NAMES} == FILES
    assert server.requests_to("good") == list(NAMES)

    again = load("auto")
    assert_small_set(again)
    assert again.source == str(cache / "mnist")
    assert server.requests == [f"/good/{name}" for name in NAMES]
    assert capfd.readouterr() == ("", "")


SLOW = "too slow: [0-9]+ bytes in 0 s"
FAULTS = {
    "missing": "HTTP status 404 Not Found",
    "reset": "reset|broken",
    "wrong": "sent [0-9]+ bytes with SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}",
    "portal": "sent 26 bytes with SHA-256 .*; it is an HTML or XML page",
    "truncated": "the connection ended after [0-9]+ bytes, [0-9]+ too early",
    "short": "sent [0-9]+ bytes with SHA-256",
    "silent": "no answer within 1 s|timed out",
    "continuing_head": "no answer within 1 s",
    "stalled": SLOW,
    "stalled_in_its_status": SLOW,
    "stalled_in_its_headers": SLOW,
    "trickling": SLOW,
    "trickling_status": SLOW,
    "trickling_headers": SLOW,
    "trickling_chunk_size": SLOW,
    "trickling_trailers": SLOW,
    "trickling_redirect": SLOW,
    "continuing": SLOW,
    "endless": "sent more than [0-9]+ bytes",
    "endless_without_length": "sent more than [0-9]+ bytes",
    "redirecting_for_ever": "more than 10 redirects",
    "circling": "more than 10 redirects",
    **dict.fromkeys(ANSWERS, "."),
    "redirect_to_a_file": "redirects to what is neither http nor https",
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Little time for the fault, and enough for the good mirror even on a busy machine."""
    unanswered = fault in ("silent", "continuing_head")
    monkeypatch.setattr(transfer, "CONNECT_SECONDS", 1.0 if unanswered else 30.0)

    def allowed(request: transfer.Request, size: int) -> float:
        return 0.3 if FAULTS[fault] == SLOW and f"/{fault}/" in request.url else 30.0

    monkeypatch.setattr(transfer.Request, "_allowed", allowed)


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "CONNECT_SECONDS", 0.5)


def assert_no_request_goes_on() -> None:
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("mpsmnist ") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


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
    assert {Path(path).name for path in server.requests} <= {NAMES[0]}  # not asked for the other three
    assert_no_request_goes_on()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("impatient")
def test_the_next_mirror_makes_up_for_it(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path, fault: str
) -> None:
    use_mirrors(fault, "good")
    dataset = load("mnist")
    assert_small_set(dataset)
    assert dataset.source == server.mirror("good")
    assert in_cache(cache) == KEPT


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


MUST_WORK = [
    "compressing",
    "get_only",
    "decoding",
    "redirecting",
    "continuing_once",
    "chunked",
    "wrongly_encoded",
]


@pytest.mark.parametrize("behaviour", MUST_WORK)
def test_odd_servers_that_must_work(use_mirrors: Callable[..., None], behaviour: str) -> None:
    use_mirrors(behaviour)
    assert_small_set(load("mnist"))


def test_a_slow_but_steady_line_is_waited_for(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds, which is more than the time of grace."""
    monkeypatch.setattr(transfer, "_CHUNK", 1000)
    monkeypatch.setattr(transfer, "GRACE_SECONDS", 1.5)
    monkeypatch.setattr(transfer, "MIN_BYTES_PER_SECOND", 10)
    with closing(transfer.Request("GET", server.mirror("steady") + NAMES[0], limit=100_000)) as request:
        assert b"".join(request.chunks()) == FILES[NAMES[0]]


def test_even_a_steady_line_must_come_to_an_end(
    use_mirrors: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MIN_BYTES_PER_SECOND", 10)
    monkeypatch.setattr(transfer, "MAX_SECONDS", 0.4)
    use_mirrors("steady")
    with pytest.raises(DatasetError, match=r"too slow: [0-9]+ bytes"):
        load("mnist")


@pytest.mark.parametrize(
    "fault", ["continuing", "redirecting_for_ever", "chunk_size_of_any_length", "endless"]
)
@pytest.mark.usefixtures("impatient")
def test_what_a_mirror_sends_is_not_kept_in_memory(use_mirrors: Callable[..., None], fault: str) -> None:
    use_mirrors(fault, "good")
    assert peak(lambda: load("mnist")) < 8 << 20


def test_a_redirects_body_is_not_kept_in_memory(use_mirrors: Callable[..., None]) -> None:
    use_mirrors("redirecting")
    assert peak(lambda: load("mnist")) < 8 << 20


def test_a_socket_that_is_made_too_late_is_shut_down() -> None:
    adapter = transfer._WatchingAdapter()
    adapter.close_sockets()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        adapter._watch(ours)
        theirs.settimeout(10)
        assert theirs.recv(1) == b""


def test_a_server_without_tls(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    address = server.mirror("good").replace("http:", "https:")
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(address))
    with pytest.raises(DatasetError, match=rf"{NAMES[0]}: TLS failed: [a-z]"):
        load("mnist")
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(address, server.mirror("good")))
    dataset = load("mnist")
    assert_small_set(dataset)
    assert dataset.source == server.mirror("good")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Of a server on this machine."""
    return make_certificate(tmp_path_factory.mktemp("certificate"), "127.0.0.1")


@pytest.fixture
def secured(certificate: Certificate) -> Iterator[FaultyServer]:
    with serving_securely(FILES, certificate) as running:
        yield running


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Callable[[Certificate], None]:
    return lambda certificate: monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))


@pytest.fixture
def trusted(certificate: Certificate, trust: Callable[[Certificate], None]) -> None:
    trust(certificate)


def test_a_certificate_that_nobody_vouches_for(
    server: FaultyServer, secured: FaultyServer, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    mirror = secure(secured.mirror("good"))
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(mirror))
    with pytest.raises(
        DatasetError, match=rf"tried:\n  {mirror}{NAMES[0]}: its certificate is not trusted: self"
    ):
        load("mnist")
    assert in_cache(cache) == set()
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(mirror, server.mirror("good")))
    dataset = load("mnist")
    assert_small_set(dataset)
    assert dataset.source == server.mirror("good")
    assert secured.probes == secured.requests == []


def test_a_certificate_of_another_host(
    tmp_path: Path, trust: Callable[[Certificate], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_certificate(tmp_path, "other.invalid")
    trust(other)
    with serving_securely(FILES, other) as secured:
        monkeypatch.setitem(SOURCES, "mnist", small_mnist(secure(secured.mirror("good"))))
        with pytest.raises(
            DatasetError,
            match="not trusted: IP address mismatch, certificate is not valid for ",
        ):
            load("mnist")


@pytest.mark.usefixtures("trusted")
def test_certificates_are_trusted_as_the_environment_says(
    secured: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(secure(secured.mirror("good"))))
    assert_small_set(load("mnist"))
    assert secured.requests_to("good") == list(NAMES)


@pytest.mark.usefixtures("trusted")
def test_redirects_to_another_host_and_from_https_to_http(
    server: FaultyServer, secured: FaultyServer, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    """Checksums vouch for the files, wherever they come from."""
    secured.elsewhere = server.mirror("redirecting").replace("127.0.0.1", "localhost")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(secure(secured.mirror("elsewhere"))))
    assert_small_set(load("mnist"))
    assert server.requests_to("good") == secured.requests_to("elsewhere") == list(NAMES)

    shutil.rmtree(cache)
    secured.elsewhere = server.mirror("wrong")
    with pytest.raises(
        DatasetError, match=f"tried:\n  {secure(secured.mirror('elsewhere'))}{NAMES[0]}: sent "
    ):
        load("mnist")
    assert in_cache(cache) == set()


def test_a_redirect_to_a_host_that_cannot_be_reached(
    server: FaultyServer, use_mirrors: Callable[..., None]
) -> None:
    server.elsewhere = f"http://127.0.0.1:{closed_port()}/"
    use_mirrors("elsewhere", "good")
    dataset = load("mnist")
    assert_small_set(dataset)
    assert dataset.source == server.mirror("good")


@pytest.fixture
def through_proxy(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Call it with the address of a proxy that all requests are to go through."""

    def use(address: str) -> None:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, address)

    return use


def test_a_proxy_of_the_environment(
    server: FaultyServer, through_proxy: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "mnist", small_mnist("http://mirror.invalid/good/"))
    with proxying(server.server_port) as proxy:
        through_proxy(proxy.address)
        assert_small_set(load("mnist"))
        assert proxy.asked == ["HEAD mirror.invalid", *["GET mirror.invalid"] * len(NAMES)]
    assert server.requests_to("good") == list(NAMES)


def test_a_proxy_to_servers_with_certificates(
    tmp_path: Path,
    through_proxy: Callable[[str], None],
    trust: Callable[[Certificate], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate = make_certificate(tmp_path, "mirror.invalid")
    monkeypatch.setitem(SOURCES, "mnist", small_mnist("https://mirror.invalid/good/"))
    with serving_securely(FILES, certificate) as secured, proxying(secured.server_port) as proxy:
        through_proxy(proxy.address)
        with pytest.raises(DatasetError, match="its certificate is not trusted: "):
            load("mnist")
        trust(certificate)
        assert_small_set(load("mnist"))
        assert set(proxy.asked) == {"CONNECT mirror.invalid:443"}
        assert secured.requests_to("good") == list(NAMES)


def test_a_proxy_that_cannot_be_reached(
    through_proxy: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "mnist", small_mnist("https://mirror.invalid/good/"))
    through_proxy(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(DatasetError, match=rf"mirror.invalid/good/{NAMES[0]}: .*Connection refused"):
        load("mnist")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", ["stalled"])
def test_a_stalled_transfer_through_tls_and_a_proxy_ends(
    tmp_path: Path,
    through_proxy: Callable[[str], None],
    trust: Callable[[Certificate], None],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    certificate = make_certificate(tmp_path, "mirror.invalid")
    trust(certificate)
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(f"https://mirror.invalid/{fault}/"))
    with serving_securely(FILES, certificate) as secured, proxying(secured.server_port) as proxy:
        through_proxy(proxy.address)
        with pytest.raises(DatasetError, match=SLOW):
            load("mnist")
        assert_no_request_goes_on()


def test_the_structure_is_checked_after_the_checksum(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    source = small_mnist(server.mirror("portal"))
    digest = "sha256:" + hashlib.sha256(b"<html>Please log in</html>").hexdigest()
    files = tuple(single_file(file.name, digest, file.shape) for file in source.files)
    monkeypatch.setitem(SOURCES, "mnist", dataclasses.replace(source, files=files))
    with pytest.raises(DatasetError, match=r"it is an HTML or XML page, as servers send"):
        load("mnist")
    assert in_cache(cache) == set()


@pytest.mark.usefixtures("briefly")
def test_mirrors_that_do_not_answer_are_waited_for_together(
    server: FaultyServer, use_mirrors: Callable[..., None]
) -> None:
    use_mirrors(*["silent"] * 5)
    start = time.monotonic()
    with pytest.raises(DatasetError, match=r"tried:(\n .*(no answer within 0.5 s|timed out).*){5}$"):
        load("mnist")
    assert time.monotonic() - start < 3
    assert server.requests == []


@pytest.mark.usefixtures("briefly")
def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> None:
        release.wait()
        raise socket.gaierror("let go")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(*(f"http://{name}.invalid/" for name in "abc")))
    start = time.monotonic()
    with pytest.raises(DatasetError, match=r"tried:(\n .*no answer within 0.5 s){3}$"):
        load("mnist")
    assert time.monotonic() - start < 2
    release.set()


def test_progress_is_shown_on_a_terminal(
    use_mirrors: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    cache: Path,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    use_mirrors("good")
    load("mnist")
    assert terminal.getvalue() == ""  # to those who did not ask for it
    shutil.rmtree(cache)
    caplog.set_level(logging.INFO, "mpsmnist.data")
    load("mnist")
    shown = [line.split(":")[0] for line in terminal.getvalue().split("\r") if "B/s" in line]
    assert shown == list(NAMES)


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
