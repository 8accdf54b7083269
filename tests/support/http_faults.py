"""A web server on 127.0.0.1 that serves files well or in one of the ways in which mirrors fail.

The first part of a path says how: /good/name serves the file, /missing/name is a 404, and so on. It names a
method of the handler, or one of ANSWERS: what is sent at once, whatever was asked for.
"""

import gzip
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def _answer(*headers: str | bytes, status: str = "200 OK", body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers]
    return b"".join((x.encode() if isinstance(x, str) else x) + b"\r\n" for x in lines) + b"\r\n" + body


def _redirect(location: str | bytes) -> bytes:
    location = location.encode() if isinstance(location, str) else location
    return _answer(b"Location: " + location, "Content-Length: 0", status="302 Found")


_CHUNKED = "Transfer-Encoding: chunked"

ANSWERS = {
    "nothing": b"",
    "not_http": b"\0\xff\x16\x03\x01 no HTTP at all\r\n\r\n",
    "no_status": b"HTTP/1.1\r\n\r\n",
    "status_of_letters": _answer(status="abc"),
    "status_of_many_digits": _answer(status="2" * 5000),
    "long_status_line": _answer(status="200 " + "x" * 100_000),
    "long_header": _answer("X: " + "x" * 100_000),
    "many_headers": _answer(*(f"X-{number}: x" for number in range(1000))),
    "no_headers": b"HTTP/1.1 200 OK\r\n",
    "headers_of_any_bytes": _answer(b"\xff\xfe\0: \x80", b"no colon", b": no name", body=b"abc"),
    "length_of_letters": _answer("Content-Length: abc", body=b"abc"),
    "length_of_other_digits": _answer("Content-Length: ²", body=b"abc"),
    "length_negative": _answer("Content-Length: -5", body=b"abc"),
    "length_of_many_digits": _answer("Content-Length: " + "9" * 5000, body=b"abc"),
    "lengths_that_differ": _answer("Content-Length: 3, 4", body=b"abc"),
    "chunk_of_no_size": _answer(_CHUNKED, body=b"zz\r\nabc\r\n"),
    "chunk_of_negative_size": _answer(_CHUNKED, body=b"-5\r\nabc\r\n"),
    "chunk_cut": _answer(_CHUNKED, body=b"ffff\r\nabc"),
    "chunk_size_of_any_length": _answer(_CHUNKED, body=b"1" * 1_000_000),
    "partial": _answer("Content-Length: 3", status="206 Partial Content", body=b"abc"),
    "no_content": _answer(status="204 No Content"),
    "not_modified": _answer(status="304 Not Modified"),
    "unauthorized": _answer('WWW-Authenticate: Basic realm="x"', status="401 Unauthorized"),
    "broken": _answer("Content-Length: 0", status="500 Internal Server Error"),
    "upgraded": _answer("Upgrade: h2c", "Connection: Upgrade", status="101 Switching Protocols"),
    "redirect_without_location": _answer("Content-Length: 0", status="302 Found"),
    "redirect_to_nothing": _redirect(""),
    "redirect_to_bytes": _redirect(b"http://127.0.0.1/\xff\xfe\x80"),
    "redirect_to_a_host_of_bytes": _redirect(b"http://\xff\xfe\x80/"),
    "redirect_to_no_host": _redirect("http://"),
    "redirect_to_no_port": _redirect("http://127.0.0.1:abc/"),
    "redirect_to_a_port_too_high": _redirect("http://127.0.0.1:99999/"),
    "redirect_to_a_long_label": _redirect(f"http://{'a' * 70}.invalid/"),
    "redirect_to_an_empty_label": _redirect("http://a..invalid/"),
    "redirect_to_half_an_address": _redirect("http://[::1/"),
    "redirect_to_no_address": _redirect("http://[x]/"),
    "redirect_to_a_file": _redirect("file:///etc/passwd"),
    "redirect_to_ftp": _redirect("ftp://127.0.0.1/file"),
    "redirect_to_spaces": _redirect("http://127.0.0.1 x/"),
}  # fmt: skip


class FaultyServer(ThreadingHTTPServer):
    """Serves `files`, remembers what was asked, and holds stalled answers until `release` is set."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.probes: list[str] = []  # the paths of HEAD requests
        self.requests: list[str] = []  # the paths of GET requests
        self.elsewhere = ""  # another mirror, to which elsewhere() redirects
        self.holding = threading.Event()  # set once an answer is being held
        self.release = threading.Event()

    def mirror(self, behaviour: str) -> str:
        """The address of a mirror that behaves like the method of that name below."""
        return f"http://127.0.0.1:{self.server_port}/{behaviour}/"

    def requests_to(self, behaviour: str) -> list[str]:
        """The names of the files requested from that mirror, in order."""
        start = f"/{behaviour}/"
        return [path.removeprefix(start) for path in self.requests if path.startswith(start)]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away early are part of the tests."""


@contextmanager
def serving(
    files: Mapping[str, bytes], prepare: Callable[[FaultyServer], None] = lambda _: None
) -> Iterator[FaultyServer]:
    """Run a FaultyServer, prepared so, for the length of the block."""
    with FaultyServer(files) as server:
        prepare(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()


_bound = socket.socket()


def closed_port() -> int:
    """A port of 127.0.0.1 on which nothing listens: it is kept, or another program might."""
    if _bound.getsockname()[1] == 0:
        _bound.bind(("127.0.0.1", 0))
    return int(_bound.getsockname()[1])


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def log_message(self, format: str, *args: object) -> None:
        """The tests' output is not the place for a server's log."""

    def do_HEAD(self) -> None:
        self.server.probes.append(self.path)
        behaviour, _ = self._parse()
        if behaviour == "silent":
            self.server.release.wait()
        elif behaviour == "continuing_head":
            self.continuing(b"")
        elif behaviour == "get_only":
            self.send_error(405)
        else:
            self._start(0)

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        behaviour, body = self._parse()
        if behaviour in ANSWERS:
            self.wfile.write(ANSWERS[behaviour])
        else:
            getattr(self, behaviour)(body)

    def good(self, body: bytes) -> None:
        self._start(len(body))
        self.wfile.write(body)

    get_only = good

    def missing(self, body: bytes) -> None:
        self.send_error(404)

    def wrong(self, body: bytes) -> None:
        self.good(bytes(len(body)))

    def truncated(self, body: bytes) -> None:
        """Fewer bytes than promised, then the connection ends normally."""
        self._start(len(body))
        self.wfile.write(body[: len(body) // 2])

    def short(self, body: bytes) -> None:
        """Fewer bytes than the file has, and headers that agree."""
        self.good(body[: len(body) // 2])

    def reset(self, body: bytes) -> None:
        """Half the body, then a TCP reset."""
        self.truncated(body)
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def gated(self, body: bytes) -> None:
        """The file, once the test lets it through."""
        self._hold()
        self.good(body)

    def stalled(self, body: bytes) -> None:
        """Half the body, then nothing."""
        self.truncated(body)
        self.wfile.flush()
        self._hold()

    def unfinished(self, body: bytes) -> None:
        """All but the last byte, then nothing."""
        self._start(len(body))
        self.wfile.write(body[:-1])
        self.wfile.flush()
        self._hold()

    def stalled_in_its_status(self, body: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 2")
        self._hold()

    def stalled_in_its_headers(self, body: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-")
        self._hold()

    def trickling(self, body: bytes) -> None:
        """A body that is slow and never ends."""
        self._start(1 << 30)
        self._trickle(bytes(1 << 10))

    def trickling_status(self, body: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 200 ")
        self._trickle(b"O")

    def trickling_headers(self, body: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self._trickle(b"x")

    def trickling_chunk_size(self, body: bytes) -> None:
        self.wfile.write(_answer(_CHUNKED))
        self._trickle(b"0")

    def trickling_trailers(self, body: bytes) -> None:
        self.wfile.write(_answer(_CHUNKED, body=b"0\r\n"))
        self._trickle(b"X: x\r\n")

    def trickling_redirect(self, body: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: /")
        self._trickle(b"x")

    def continuing(self, body: bytes) -> None:
        """ "100 Continue" for ever."""
        self._flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    def endless(self, body: bytes) -> None:
        """More than any such file can have."""
        self._start(1 << 30)
        self._flood(bytes(1 << 16))

    def endless_without_length(self, body: bytes) -> None:
        self.wfile.write(_answer())
        self._flood(bytes(1 << 16))

    def redirecting_for_ever(self, body: bytes) -> None:
        self.wfile.write(_redirect(self.path))

    def circling(self, body: bytes) -> None:
        """To another address, which redirects back."""
        self.wfile.write(_redirect(self.path.replace("/circling/", "/circling_back/")))

    def circling_back(self, body: bytes) -> None:
        self.wfile.write(_redirect(self.path.replace("/circling_back/", "/circling/")))

    def elsewhere(self, body: bytes) -> None:
        """To a mirror that the test names."""
        self.wfile.write(_redirect(self.server.elsewhere + self.path.rsplit("/", 1)[1]))

    def redirecting(self, body: bytes) -> None:
        """To the file, by a relative address, after a body that never ends."""
        name = self.path.rsplit("/", 1)[1]
        self.wfile.write(_answer(f"Location: ../good/{name}", status="307 Temporary Redirect"))
        self._flood(b"Moved. " * 10_000)

    def continuing_once(self, body: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" + _answer(body=body))

    def chunked(self, body: bytes) -> None:
        chunks = (body[:1], body[1:], b"")
        self.wfile.write(_answer(_CHUNKED, body=b"".join(b"%x\r\n%b\r\n" % (len(x), x) for x in chunks)))

    def wrongly_encoded(self, body: bytes) -> None:
        """The file as it is, called a mere transfer encoding of another."""
        self.wfile.write(_answer("Content-Encoding: gzip", f"Content-Length: {len(body)}", body=body))

    def steady(self, body: bytes) -> None:
        """A slow line: ten parts in two seconds."""
        self._start(len(body))
        part = -(-len(body) // 10)
        for first in range(0, len(body), part):
            self.server.release.wait(0.2)
            self.wfile.write(body[first : first + part])

    def decoding(self, body: bytes) -> None:
        """Declares gzip as a mere transfer encoding to clients that say they can undo it."""
        self.send_response(200)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def compressing(self, body: bytes) -> None:
        """Compresses what it sends to clients that say they can undo it."""
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body)
            self.wfile.write(_answer("Content-Encoding: gzip", f"Content-Length: {len(body)}", body=body))
        else:
            self.good(body)

    def portal(self, body: bytes) -> None:
        """A wireless network's login page in place of every file."""
        self.good(b"<html>Please log in</html>")

    def _trickle(self, part: bytes) -> None:
        while not self.server.release.wait(0.02):
            self.wfile.write(part)

    def _flood(self, part: bytes) -> None:
        while not self.server.release.is_set():
            self.wfile.write(part)

    def _hold(self) -> None:
        self.server.holding.set()
        self.server.release.wait()

    def _parse(self) -> tuple[str, bytes]:
        behaviour, name = self.path[1:].split("/", 1)
        return behaviour, self.server.files[name]

    def _start(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
