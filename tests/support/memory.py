"""How much memory Python and NumPy take, and tests that take it away."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Callable

import pytest

# Tests that set RLIMIT_AS.
limits_memory = pytest.mark.skipif(
    sys.platform != "linux" or "MPSMNIST_SANITIZER" in os.environ,
    reason="only Linux limits a process's memory reliably, and a sanitizer's allocator ends such a process",
)


def peak(call: Callable[[], object]) -> int:
    """The most bytes that are allocated at once while `call` runs; what others allocate is not counted."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
