"""Prints what the library logs about itself while a command runs."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .console import complain
from .shared import Shared

_logger = logging.getLogger("mpsmnist")


@contextmanager
def telling(program: str) -> Iterator[None]:
    """Print what the library logs at level INFO in this thread to stderr for the length of the block."""
    handler = _Handler(program)
    with _informative.block():
        _logger.addHandler(handler)
        try:
            yield
        finally:
            _logger.removeHandler(handler)


@contextmanager
def _at_level_info() -> Iterator[None]:
    level = _logger.level
    _logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        _logger.setLevel(level)


_informative = Shared(_at_level_info)


class _Handler(logging.Handler):
    def __init__(self, program: str) -> None:
        super().__init__(logging.INFO)
        self._program = program
        self._thread = threading.get_ident()
        self.addFilter(lambda record: record.thread == self._thread)  # other threads' have their own

    def emit(self, record: logging.LogRecord) -> None:
        complain(self._program, record.getMessage())
