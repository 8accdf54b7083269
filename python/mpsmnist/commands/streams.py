"""The standard streams of a command, whatever the process was started with: closed, full, ASCII only."""

import contextlib
import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from ..descriptors import discarding
from .shared import Shared

MAX_STDIN = 1 << 28  # bytes that are kept of it in memory


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Make stdout and stderr safe to print to in the block.

    Characters that their encoding lacks are escaped. What stderr does not take is dropped: no message is
    worth a training run. Writing to a closed stdout raises OSError, as writing to a full one does.

    The streams are the process's: of blocks that overlap, nested or in several threads, the first to begin
    makes them safe, and the last to end leaves them as they were.
    """
    with _shared.block() as streams:
        try:
            yield
        finally:
            for stream in streams:
                _drop_unwritten(stream)


def in_one_line(text: str) -> str:
    """Escape what breaks a line or commands a terminal: the names of files may have it."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda match: ascii(match[0])[1:-1], text)


def print_line(text: str) -> None:
    """Print a line of results to stdout at once. Raises OSError, which names stdout."""
    with _naming_stdout():
        print(text, flush=True)


def flush_stdout() -> None:
    """Write what is left in stdout's buffer. Raises OSError, which names stdout."""
    with _naming_stdout():
        sys.stdout.flush()


def read_stdin() -> bytes:
    """Read all of stdin, from a pipe or a file. Raises OSError: it is closed, a terminal, too large."""
    stream = getattr(sys.stdin, "buffer", None)  # sys.stdin is None if the process started without it
    if stream is None:
        raise OSError("it is closed")
    if stream.isatty():
        raise OSError("it is a terminal, expected a pipe or a file")
    data: bytes = stream.read(MAX_STDIN + 1)
    if len(data) > MAX_STDIN:
        raise OSError(f"more than {MAX_STDIN:,} bytes")
    return data


@contextlib.contextmanager
def _naming_stdout() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _drop_unwritten(sys.stdout)
        if error.errno is None:
            raise OSError(f"{error}: '<stdout>'") from error
        raise OSError(error.errno, error.strerror, "<stdout>") from error


class _Closed(io.TextIOBase):
    """The stream of a closed descriptor."""

    def write(self, _text: str) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class _Forgiving:
    """A text stream that drops what it cannot write."""

    def __init__(self, stream: TextIO | _Closed) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):  # ValueError: somebody has closed it
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _reserve_descriptors() -> None:
    """Open what is closed of 0, 1 and 2, or a checkpoint gets the number, and takes in others' output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # mostly the very descriptor, as the lowest that is free
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)


@contextlib.contextmanager
def _escaping(stream: TextIO | _Closed) -> Iterator[None]:
    """Print characters that the stream's encoding lacks as escape sequences."""
    if not isinstance(stream, io.TextIOWrapper) or stream.closed:
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        if not stream.closed:
            stream.reconfigure(errors=before)


def _drop_unwritten(stream: TextIO | _Closed) -> None:
    """Empty the buffer of a stream that fails; Python would try it again at exit, and exit with 120."""
    try:
        stream.flush()
    except ValueError:  # somebody has closed it
        pass
    except OSError:
        # Without a descriptor it is no stream of Python's, which knows nothing of its buffer.
        with contextlib.suppress(OSError, ValueError, AttributeError), discarding(stream.fileno()):
            stream.flush()


@contextlib.contextmanager
def _safe_streams() -> Iterator[tuple[TextIO | _Closed, TextIO | _Closed]]:
    """Yields the streams that are behind sys.stdout and sys.stderr in the block."""
    _reserve_descriptors()
    # Python's streams are None where the process started without them, and print() then writes elsewhere.
    stdout, stderr = sys.stdout or _Closed(), sys.stderr or _Closed()
    with (
        _escaping(stdout),
        _escaping(stderr),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(cast(TextIO, _Forgiving(stderr))),
    ):
        yield stdout, stderr


_shared = Shared(_safe_streams)
