"""Threads that stand for the processes that train one network together."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Part = NDArray[np.float32]


class Threads:
    """Stands for `count` processes: each brings what all_reduce(rank) adds up, all_gather(rank) collects."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._barrier = threading.Barrier(count, timeout=60)
        self._parts: list[Part | None] = [None] * count

    def all_reduce(self, rank: int) -> Callable[[Part], None]:
        def add_up(part: Part) -> None:
            part[...] = self._exchange(
                rank, part, lambda parts: np.sum([*map(np.asarray, parts)], axis=0, dtype=np.float32)
            )

        return add_up

    def all_gather(self, rank: int) -> Callable[[Part], Part]:
        return lambda rows: self._exchange(rank, rows, np.concatenate)

    def _exchange(self, rank: int, part: Part, combine: Callable[[list[Part | None]], Part]) -> Part:
        self._parts[rank] = part
        self._barrier.wait()
        result = combine(self._parts)
        self._barrier.wait()
        return result

    def run(self, work: Callable[[int], None]) -> None:
        errors: list[BaseException] = []

        def guarded(rank: int) -> None:
            try:
                work(rank)
            except BaseException as error:
                errors.append(error)
                self._barrier.abort()

        threads = [threading.Thread(target=guarded, args=(rank,)) for rank in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
