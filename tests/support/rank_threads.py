"""Threads that stand for the processes that train one network together, and what holds of these."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mpsmnist
from support import checks, examples

Part = NDArray[np.float32]


def ignore(part: Part) -> None:
    """Leave the gradients as one process has them: an all_reduce."""


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


def assert_alone_is_as_usual(
    trainer: mpsmnist.Trainer, usual: mpsmnist.Trainer, images: int, **options: Any
) -> None:
    """Check that steps of one process have the bits of gradients() and apply_gradients()."""
    batch = examples.discs(images)
    for _ in range(2):
        gradients = usual.gradients(*batch)
        usual.apply_gradients(gradients)
        assert trainer.step(*batch, all_reduce=ignore, **options) == gradients.loss
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(usual))
    assert trainer.steps == 2


def assert_several_are_one(
    make_trainer: Callable[..., mpsmnist.Trainer],
    shards: tuple[int, ...],
    exchange: Callable[[Threads, int], dict[str, Any]],
) -> None:
    """Check that processes train as one with the images of all.

    Args:
        make_trainer: the fixture.
        shards: the images of each process.
        exchange: of its Threads and a rank, the options of step() that bring the processes together.
    """
    total = sum(shards)
    images, labels = examples.discs(total)
    ends = np.cumsum(shards)
    one = make_trainer(init="he", momentum=0.9)
    many = [make_trainer(init="he", momentum=0.9) for _ in shards]
    threads = Threads(len(shards))
    losses = np.zeros((2, len(shards)))

    def work(rank: int) -> None:
        own = slice(ends[rank] - shards[rank], ends[rank])
        for step in range(2):
            losses[step, rank] = many[rank].step(
                images[own], labels[own], global_batch_size=total, **exchange(threads, rank)
            )

    threads.run(work)
    expected = [one.step(images, labels) for _ in range(2)]
    np.testing.assert_allclose(losses @ np.array(shards) / total, expected, rtol=1e-5)
    state = checks.flat_state(one)
    for trainer in many:
        np.testing.assert_allclose(
            checks.flat_state(trainer), state, rtol=0, atol=2e-6 * float(np.abs(state).max())
        )
        checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(many[0]))
