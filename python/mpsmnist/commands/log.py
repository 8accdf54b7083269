"""Prints what the library logs about itself while a command runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from .console import complain


@contextmanager
def telling(program: str) -> Iterator[None]:
    """Print the library's messages of level INFO to stderr for the length of the block."""
    logger, handler = logging.getLogger("mpsmnist"), _Handler(program)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, program: str) -> None:
        super().__init__(logging.INFO)
        self._program = program

    def emit(self, record: logging.LogRecord) -> None:
        complain(self._program, record.getMessage())
