"""A web server on 127.0.0.1 that serves files well or in one of the ways in which mirrors fail.

The first part of a path says how: /good/name serves the file, /missing/name is a 404, and so on.
"""

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyServer(ThreadingHTTPServer):
    """Serves `files`, remembers what was asked, and holds stalled answers until `release` is set."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.probes: list[str] = []  # the paths of HEAD requests
        self.requests: list[str] = []  # the paths of GET requests
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
def serving(files: Mapping[str, bytes]) -> Iterator[FaultyServer]:
    """Run a FaultyServer for the length of the block."""
    with FaultyServer(files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()


def closed_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def log_message(self, format: str, *args: object) -> None:
        """The tests' output is not the place for a server's log."""

    def do_HEAD(self) -> None:
        self.server.probes.append(self.path)
        behaviour, _ = self._parse()
        if behaviour == "silent":
            self.server.release.wait()
        elif behaviour == "get_only":
            self.send_error(405)
        else:
            self._start(0)

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        behaviour, body = self._parse()
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

    def trickling(self, body: bytes) -> None:
        """A stream that is slow and never ends."""
        self._start(1 << 30)
        while not self.server.release.wait(0.02):
            self.wfile.write(bytes(1 << 10))

    def endless(self, body: bytes) -> None:
        """More than any such file can have."""
        self._start(1 << 30)
        while not self.server.release.is_set():
            self.wfile.write(bytes(1 << 16))

    def decoding(self, body: bytes) -> None:
        """Declares gzip as a mere transfer encoding to clients that say they can undo it."""
        self.send_response(200)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def portal(self, body: bytes) -> None:
        """A wireless network's login page in place of every file."""
        self.good(b"<html>Please log in</html>")

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
