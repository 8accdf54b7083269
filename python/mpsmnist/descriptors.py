"""File descriptors of the process."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def discarding(descriptor: int) -> Iterator[None]:
    """Let the descriptor be the null device's in the block, for all threads; OSError if it is closed."""
    kept, null = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(null)
