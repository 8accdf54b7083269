"""Signals that ask a command to end: SIGINT (Ctrl-C), SIGTERM (from schedulers), SIGHUP (a closed terminal).

The first one raises Interrupted in the main thread, or where signals are deferred waits until it is asked
for. Whatever comes after it ends the process at once, even in the middle of a native call. Signals that the
process was started to ignore (nohup) stay ignored. In other threads, where Python handles none, none comes.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from .._core import handle_once

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end; `exit_code` is 128 and its number, as in a shell."""

    def __init__(self, number: int, details: str = "") -> None:
        cause = "interrupted" if number == signal.SIGINT else f"interrupted by {signal.Signals(number).name}"
        super().__init__(f"{cause} {details}".rstrip())
        self.exit_code = 128 + number


class _Handler:
    """Handles the signals of one command."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.deferred = False

    def __call__(self, number: int, _frame: object) -> None:
        self.received = number
        if not self.deferred:
            raise Interrupted(number)


_current: ContextVar[_Handler] = ContextVar("_current")


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Handle the signals in the block."""
    handler = _Handler()
    token = _current.set(handler)
    before = {}
    try:
        for number in STOP_SIGNALS:
            # None is a handler that was not set from Python.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                with contextlib.suppress(ValueError):  # not in the main thread
                    before[number] = signal.signal(number, handler)
                    handle_once(number)
        yield
    finally:
        handler.deferred = True
        for number, previous in before.items():
            signal.signal(number, previous)
        _current.reset(token)


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Raise nothing for a signal in the block; yields a function that tells whether there was one.

    The block is part of one that is `handled()`. After it, check() raises what was deferred.
    """
    handler = _current.get()
    before, handler.deferred = handler.deferred, True
    try:
        yield lambda: handler.received is not None
    finally:
        handler.deferred = before


def check(details: str = "") -> None:
    """Raise Interrupted if there was a signal; `details` follow in its message."""
    received = _current.get().received
    if received is not None:
        raise Interrupted(received, details)
