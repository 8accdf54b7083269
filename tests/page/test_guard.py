"""What the server refuses: wrong tokens, foreign hosts and origins, and files that are too much."""

from __future__ import annotations

import http.client
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from websockets import Origin
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mpsmnist.app import Page
from mpsmnist.errors import Error
from mpsmnist.page.routes import MAX_UPLOAD
from support.pictures import drawing, write_png


def ask(
    page: Page, path: str, method: str = "GET", token: str | None = None, **headers: str
) -> requests.Response:
    """With the page's token, unless another is given; "" is none."""
    url = urlsplit(page.address)
    query = url.query if token is None else f"token={token}"
    address = f"http://{url.netloc}{path}?{query}"
    return requests.request(method, address, headers=headers, timeout=20)


def test_with_the_token_the_page_is_there(page: Page) -> None:
    answer = ask(page, "/")
    assert answer.status_code == 200
    assert "<h1>mpsmnist</h1>" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"  # its address has the token


@pytest.mark.parametrize("path", ["/", "/checkpoint", "/read", "/docs", "/live"])
@pytest.mark.parametrize("token", ["", "wrong", "%00", "é"])
def test_without_it_nothing_is(page: Page, path: str, token: str) -> None:
    answer = ask(page, path, "POST" if path == "/read" else "GET", token)
    assert answer.status_code == 403
    assert answer.text.startswith("the address has no token, or a wrong one")


def test_each_page_has_a_token_of_its_own(page: Page, data_dir: Path) -> None:
    other = Page(data_dir=data_dir)
    try:
        assert urlsplit(other.address).query != urlsplit(page.address).query
    finally:
        other.close()


MALFORMED = ["evil@127.0.0.1", "127.0.0.1/evil.example", "127.0.0.1?evil.example", "127.0.0.1:evil"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8517", "127.0.0.1.evil.example", "", "[::1", *MALFORMED]
)
def test_a_name_that_is_not_this_servers_is_refused(page: Page, host: str) -> None:
    """By DNS rebinding any name can lead here."""
    answer = ask(page, "/", Host=host)
    assert answer.status_code in (400, 403)
    assert ask(page, "/static/main.js", Host=host).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "192.168.1.7"])
def test_addresses_and_localhost_are_this_servers(page: Page, host: str) -> None:
    assert ask(page, "/", Host=f"{host}:{urlsplit(page.address).port}").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_pages_of_other_origins_are_refused(page: Page, origin: str) -> None:
    assert ask(page, "/read", "POST", Origin=origin).status_code == 403
    url = urlsplit(page.address)
    address = f"ws://{url.netloc}/live?{url.query}"
    with pytest.raises(InvalidStatus) as refused, connect(address, origin=Origin(origin)):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("query", ["", "token=wrong"])
def test_the_websocket_needs_the_token_too(page: Page, query: str) -> None:
    url = urlsplit(page.address)
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://{url.netloc}/live?{query}"):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd"])
def test_no_other_file_is_served(page: Page, path: str) -> None:
    url = urlsplit(page.address)
    with closing(http.client.HTTPConnection(url.netloc, timeout=20)) as connection:
        connection.request("GET", path)  # as it is: requests would resolve it
        assert connection.getresponse().status in (403, 404)


def upload(page: Page, data: bytes | Iterator[bytes]) -> requests.Response:
    url = urlsplit(page.address)
    return requests.post(f"http://{url.netloc}/read?{url.query}", data=data, timeout=20)


def test_a_file_that_is_announced_as_too_large_is_refused_at_once(page: Page) -> None:
    url = urlsplit(page.address)
    with closing(http.client.HTTPConnection(url.netloc, timeout=20)) as connection:
        connection.putrequest("POST", f"/read?{url.query}")
        connection.putheader("content-length", str(100 * 2**20))
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 413
        assert b"32 MiB" in answer.read()


def test_a_file_that_is_too_large_is_not_taken_in(page: Page) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        while sent < 100 * 2**20:
            sent += 2**20
            yield bytes(2**20)

    try:
        assert upload(page, body()).status_code == 413
    except requests.ConnectionError:  # the server hung up while more was being sent
        assert sent < 2 * MAX_UPLOAD
    assert ask(page, "/").status_code == 200


def test_an_upload_that_is_given_up_is_no_error(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    url = urlsplit(page.address)
    with closing(http.client.HTTPConnection(url.netloc, timeout=20)) as connection:
        connection.putrequest("POST", f"/read?{url.query}")
        connection.putheader("content-length", "1000")
        connection.endheaders(b"half")
        assert ask(page, "/").status_code == 200  # by now the other request has begun
    assert ask(page, "/").status_code == 200  # and ended
    assert caplog.records == []


def bomb() -> bytes:
    """A PNG file of 40,000 x 40,000 pixels in a few hundred bytes: it ends after the first of them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(40_001)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "an empty file"), (b"text", "neither a picture"), (bomb(), "pixels")]
)
def test_what_is_no_picture_gets_words(page: Page, data: bytes, words: str) -> None:
    answer = upload(page, data)
    assert answer.status_code == 422
    assert words in answer.json()["error"]


def test_without_a_network_a_picture_gets_words(page: Page, tmp_path: Path) -> None:
    data = write_png(tmp_path / "7.png", drawing()).read_bytes()
    answer = upload(page, data)
    assert (answer.status_code, answer.json()) == (422, {"error": "there is no network yet: train one"})
    assert ask(page, "/checkpoint").status_code == 409


def test_a_port_that_is_taken_is_said(page: Page) -> None:
    port = urlsplit(page.address).port
    with pytest.raises(Error, match=f"port {port} is taken"):
        Page(port=port or 0)


def test_a_host_that_is_not_here_is_said() -> None:
    with pytest.raises(Error, match=r"cannot listen on '192\.0\.2\.1'"):
        Page(host="192.0.2.1")


def test_closing_a_page_frees_its_port(data_dir: Path) -> None:
    first = Page(data_dir=data_dir)
    port = urlsplit(first.address).port or 0
    first.close()
    Page(port=port, data_dir=data_dir).close()


def test_a_notebook_shows_it_in_a_frame(page: Page) -> None:
    assert f'<iframe src="{page.address}"' in page._repr_html_()
    assert repr(page) == f"<Page {page.address}>"
    page.close()  # then a frame would only show that nobody answers
    assert page._repr_html_() == f"&lt;Page {page.address}, closed&gt;"
