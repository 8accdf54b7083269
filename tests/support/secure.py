"""Certificates made for a test, a server that has one, and a proxy that leads to servers on this machine."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from support.http_faults import FaultyServer, serving


class Certificate(NamedTuple):
    """A certificate that vouches for itself, as clients that are told to trust it accept."""

    path: Path
    key: Path


def make_certificate(folder: Path, host: str) -> Certificate:
    """Make one for a name or an address; skips the test where there is no openssl to do it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    made = Certificate(folder / f"{host}.pem", folder / f"{host}.key")
    kind = "IP" if host.replace(".", "").isdigit() else "DNS"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "36500",
        "-subj",
        f"/CN={host}",
    ]
    words += ["-addext", f"subjectAltName={kind}:{host}", "-keyout", str(made.key), "-out", str(made.path)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return made


@contextmanager
def serving_securely(files: Mapping[str, bytes], certificate: Certificate) -> Iterator[FaultyServer]:
    """Run a FaultyServer behind TLS. Its mirror() still says http: use secure()."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)

    def wrap(server: FaultyServer) -> None:
        # The handshake is made by the thread of the connection, or one client could hold up all others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)

    with serving(files, prepare=wrap) as server:
        yield server


def secure(mirror: str) -> str:
    """The address of a mirror behind TLS."""
    return mirror.replace("http://", "https://")


class Proxy(ThreadingHTTPServer):
    """Passes requests for any host on to one port of this machine, and remembers what was asked for."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.port = port
        self.asked: list[str] = []  # "GET host" or "CONNECT host:port"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def proxying(port: int) -> Iterator[Proxy]:
    """Run a proxy to a port for the length of the block."""
    with Proxy(port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


class _ProxyHandler(BaseHTTPRequestHandler):
    server: Proxy

    def log_message(self, format: str, *args: object) -> None:
        """The tests' output is not the place for a server's log."""

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.path}")
        with socket.create_connection(("127.0.0.1", self.server.port)) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pass_on, args=(there, self.connection), daemon=True)
            back.start()
            _pass_on(self.connection, there)
            back.join()

    def do_GET(self) -> None:
        host, _, path = self.path.removeprefix("http://").partition("/")
        self.server.asked.append(f"{self.command} {host}")
        with socket.create_connection(("127.0.0.1", self.server.port)) as there:
            there.sendall(f"{self.command} /{path} HTTP/1.0\r\n\r\n".encode())
            _pass_on(there, self.connection)

    def do_HEAD(self) -> None:
        self.do_GET()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 14):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of the two has gone
