"""File descriptors of the process."""

import contextlib
import fcntl
import os
from collections.abc import Iterator


@contextlib.contextmanager
def discarding(descriptor: int) -> Iterator[None]:
    """Let the descriptor be the null device's in the block, for all threads; OSError if it is closed."""
    kept = os.dup(descriptor)
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)
        try:
            yield
        finally:
            os.dup2(kept, descriptor)
    finally:
        os.close(kept)


def is_written_to(descriptor: int) -> bool:
    """Tell whether it is open for writing; a standard one that is not may be that of a file being read."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        return False
