"""Changes of the process that commands in several threads share."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """A change for blocks that overlap, nested or in several threads.

    The first block to begin enters `change()`, and the last to end leaves it: where each changed the process
    and changed it back, it would be left as another block had made it.
    """

    def __init__(self, change: Callable[[], contextlib.AbstractContextManager[T]]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._blocks = 0
        self._entered = contextlib.ExitStack()
        self._value: list[T] = []

    @contextlib.contextmanager
    def block(self) -> Iterator[T]:
        """Have the change made in the block; yields what `change()` yields, to every block the same."""
        with self._lock:
            if self._blocks == 0:
                self._value = [self._entered.enter_context(self._change())]
            self._blocks += 1
        try:
            yield self._value[0]
        finally:
            with self._lock:
                self._blocks -= 1
                if self._blocks == 0:
                    self._entered.close()
