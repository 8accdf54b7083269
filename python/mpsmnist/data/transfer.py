"""HTTP requests that end in time, whatever the server does: each in a thread of its own, with one deadline.

The timeouts of HTTP libraries bound single operations on a socket. A server that sends a byte of its headers
now and then, or "100 Continue" for ever, passes them all, and looking up a name has no timeout. So the caller
waits for the thread until a deadline and no longer. Then it shuts the thread's sockets down, which ends it.
"""

import queue
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from ..user_files import reason_of

CONNECT_SECONDS = 5.0
# A body must come at this rate on average, after some seconds of grace, and at any rate within an hour.
# Throttled mobile lines (64 kbit/s) are twice as fast: MNIST's largest file takes them 20 minutes.
GRACE_SECONDS = 30.0
MIN_BYTES_PER_SECOND = 4096
MAX_SECONDS = 3600.0
# EMNIST's archive, 562 MB, would need a faster line for that than many are: at this rate it may take longer.
LARGE_BYTES_PER_SECOND = 65536

_MAX_REDIRECTS = 10
_CHUNK = 1 << 14
_MOST_WAITING = 64  # chunks: a disk may be slower than the network
_END = b""


class TransferError(Exception):
    """Why a server's answer cannot be had."""


class Request:
    """One request, under way from the moment it is made until it is closed.

    Attributes:
        url: where it was sent first.
        length: the Content-Length of the body, None if it is unknown; set before the first chunk comes.
    """

    def __init__(self, method: str, url: str, limit: int = 0) -> None:
        """Send `method` to `url`, to receive a body of at most `limit` bytes."""
        self.url = url
        self.length: int | None = None
        self._method = method
        self._limit = limit
        self._start = time.monotonic()
        self._failure: TransferError | None = None
        self._chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._room = threading.Semaphore(_MOST_WAITING)
        self._closed = False
        self._watch = _WatchingAdapter()
        self._thread = threading.Thread(target=self._run, name=f"mpsmnist {method} {url}", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end of a request without a body. Raises TransferError if there is none in time."""
        self._thread.join(max(0.0, self._start + CONNECT_SECONDS - time.monotonic()))
        if self._thread.is_alive():
            raise TransferError(f"no answer within {CONNECT_SECONDS:g} s")
        if self._failure is not None:
            raise self._failure

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives, not decoded. Raises TransferError."""
        size = 0
        while True:
            seconds = self._allowed(size)
            try:
                chunk = self._chunks.get(timeout=max(0.0, self._start + seconds - time.monotonic()))
            except queue.Empty:
                raise TransferError(f"too slow: {size} bytes in {seconds:.0f} s") from None
            if chunk == _END:
                break
            self._room.release()
            size += len(chunk)
            yield chunk
        if self._failure is not None:
            raise self._failure

    def _allowed(self, size: int) -> float:
        """Return how many seconds the request may have taken when `size` bytes have come."""
        most = max(MAX_SECONDS, self._limit / LARGE_BYTES_PER_SECOND)
        return min(GRACE_SECONDS + size / MIN_BYTES_PER_SECOND, most)

    def close(self) -> None:
        """End the thread, unless it is looking up a name: then it ends afterwards."""
        self._closed = True
        self._watch.close_sockets()
        self._room.release()

    def _run(self) -> None:
        try:
            self._transfer()
        except TransferError as error:
            self._failure = error
        # Bad input makes requests, urllib3 and http.client raise ValueError, UnicodeError and others, too.
        except Exception as error:
            self._failure = TransferError(_words(_innermost(error)))
        finally:
            self._watch.close_sockets()
            self._chunks.put(_END)

    def _transfer(self) -> None:
        url = self.url
        with _Session() as session:
            session.mount("http://", self._watch)
            session.mount("https://", self._watch)
            for _ in range(_MAX_REDIRECTS + 1):
                with self._send(session, url) as response:
                    if self._method == "HEAD":
                        return  # any answer will do: a server that refuses HEAD may still serve GET
                    if not response.is_redirect:
                        self._receive(response)
                        return
                    url = urllib.parse.urljoin(url, response.headers["Location"])
        raise TransferError(f"more than {_MAX_REDIRECTS} redirects")

    def _send(self, session: requests.Session, url: str) -> requests.Response:
        return session.request(
            self._method,
            url,
            headers={"Accept-Encoding": "identity"},  # or the gzip file may arrive decompressed
            timeout=(CONNECT_SECONDS, GRACE_SECONDS),
            stream=True,
        )

    def _receive(self, response: requests.Response) -> None:
        if response.status_code != requests.codes.ok:
            raise TransferError(f"HTTP status {response.status_code} {response.reason}")
        length = response.headers.get("Content-Length", "")
        self.length = int(length) if length.isascii() and length.isdigit() else None
        size = 0
        # Not iter_content(): it decodes, and urllib3 keeps a chunk's header line of any length in memory.
        while chunk := response.raw.read(_CHUNK, decode_content=False):
            size += len(chunk)
            if size > self._limit:
                raise TransferError(f"sent more than {self._limit} bytes, which is too many for this file")
            self._room.acquire()
            if self._closed:
                return
            self._chunks.put(chunk)


class _Session(requests.Session):
    """Leaves redirects to its caller: requests reads their bodies into memory, however long they are."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class _WatchingAdapter(HTTPAdapter):
    """Keeps a duplicate of every socket that it makes, since TLS takes the original away."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: list[socket.socket] = []
        self._closed = False

    def close_sockets(self) -> None:
        """Shut down the sockets, and any that are made from now on."""
        self._closed = True
        while self._sockets:
            with suppress(IndexError), self._sockets.pop() as duplicate, suppress(OSError):
                duplicate.shutdown(socket.SHUT_RDWR)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        watch = self._watch

        class Watched(type(pool).ConnectionCls):  # type: ignore[misc]
            def _new_conn(self) -> socket.socket:
                made: socket.socket = super()._new_conn()
                watch(made)
                return made

        pool.ConnectionCls = Watched
        return pool

    def _watch(self, made: socket.socket) -> None:
        self._sockets.append(made.dup())
        if self._closed:
            self.close_sockets()


def _innermost(error: BaseException) -> BaseException:
    """Return the innermost error: requests passes causes on as arguments and reasons."""
    while True:
        wrapped = (*error.args, getattr(error, "reason", None), error.__cause__)
        inner = [cause for cause in wrapped if isinstance(cause, BaseException)]
        if not inner:
            return error
        error = inner[-1]


def _words(error: BaseException) -> str:
    """Say what went wrong, and what to do if that is known."""
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is not trusted: {error.verify_message.rstrip('.')} "
                "(REQUESTS_CA_BUNDLE may name a file with others to trust)"
            )
        case ssl.SSLError():
            return f"TLS failed: {(error.reason or str(error)).lower().replace('_', ' ')}"
        case urllib3.exceptions.IncompleteRead():
            return f"the connection ended after {error.partial} bytes, {error.expected} too early"
        case requests.exceptions.InvalidSchema():
            return "redirects to what is neither http nor https"
    return reason_of(error)
