"""How processes that train together share batches and cores; test_distributed.py is about MPI itself."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import cast

import numpy as np
import pytest

from mpsmnist import Trainer
from mpsmnist.errors import Error
from mpsmnist.training import mpi, traffic
from mpsmnist.training.config import TrainConfig
from mpsmnist.training.ranks import Ranks
from mpsmnist.training.split import LabelledImages


def rank_of(rank: int, size: int) -> Ranks:
    ranks = Ranks()
    ranks.rank, ranks.size = rank, size
    return ranks


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("batch", [7, 8, 64])
def test_shares_cover_a_batch_in_order_and_are_alike(size: int, batch: int) -> None:
    shares = [range(batch)[rank_of(rank, size).share(batch)] for rank in range(size)]
    assert [index for share in shares for index in share] == [*range(batch)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_without_mpi4py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(Error, match=r"needs mpi4py and an MPI: pip install 'mpsmnist\[mpi\]'"):
        mpi.connect()


def test_an_mpi_without_threads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody imported it before, with other settings."""
    fake = ModuleType("mpi4py")
    fake.rc, fake.MPI = SimpleNamespace(), SimpleNamespace(Query_thread=lambda: 1, THREAD_SERIALIZED=2)
    monkeypatch.setitem(sys.modules, "mpi4py", fake)
    with pytest.raises(Error, match="MPI was initialized for a single thread, expected "):
        mpi.connect()


class Host:
    """A host of `cores` with `ranks`, bound to the cores `bound`, beside hosts with `others`."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, cores: int, ranks: int, bound: set[int], others: int = 0
    ) -> None:
        self.cores, self.bound = cores, bound
        monkeypatch.setattr(os, "sched_getaffinity", lambda _process: self.bound, raising=False)
        monkeypatch.setattr(os, "sched_setaffinity", self.bind, raising=False)
        monkeypatch.setattr(mpi, "_usable_cores", lambda: len(self.bound))
        host = SimpleNamespace(Get_size=lambda: ranks, Free=lambda: None)
        world = SimpleNamespace(
            Get_rank=lambda: 0,
            Get_size=lambda: ranks + others,
            Split_type=lambda _kind: host,
            bcast=lambda config: config,
            Allreduce=lambda *_buffers: None,
        )
        self.ranks = mpi.MpiRanks(SimpleNamespace(COMM_WORLD=world, COMM_TYPE_SHARED=0, IN_PLACE=0))

    def bind(self, _process: int, cores: object) -> None:
        assert isinstance(cores, range | set)
        self.bound = set(cores) & set(range(self.cores))


@pytest.mark.parametrize(
    ("host", "asked", "expected"),
    [
        ((16, 2, range(3, 4)), None, (8, range(16))),  # as mpirun does it
        ((16, 2, range(8)), None, (8, range(8))),  # to a socket of its own
        ((16, 4, range(8)), None, (4, range(8))),  # to a socket that it shares with another rank
        ((16, 2, range(16)), None, (8, range(16))),
        ((2, 3, range(2)), None, (1, range(2))),
        ((16, 2, range(3, 4)), 4, (4, range(16))),  # --threads is of no use on one core
        ((16, 2, range(3, 4)), 1, (1, range(3, 4))),
    ],
)
def test_each_rank_takes_its_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch,
    host: tuple[int, int, range],
    asked: int | None,
    expected: tuple[int, range],
) -> None:
    """`host` is of Host's arguments: the cores, the ranks and the cores that this one is bound to."""
    cores, count, bound = host
    one = Host(monkeypatch, cores, count, set(bound))
    config = one.ranks.agree_on(TrainConfig(distributed=True, threads=asked))
    assert (config.threads, one.bound) == (expected[0], set(expected[1]))


@pytest.mark.parametrize(
    ("bytes_per_second", "most"),
    [(0, 1543), (125e6, 1122), (traffic.NETWORK, 324), (traffic.MEMORY, 118), (12.5e9, 40)],
)
def test_factors_are_gathered_for_batches_that_are_small_for_the_network(
    bytes_per_second: float, most: int
) -> None:
    for count in (2, 3, 64):
        assert traffic.prefers_factors(most, count, bytes_per_second)
        assert not traffic.prefers_factors(most + 1, count, bytes_per_second)
    assert not traffic.prefers_factors(1, 1, bytes_per_second)


@pytest.mark.parametrize(("others", "most"), [(0, 118), (2, 324)])
def test_a_run_gathers_factors_by_that_rule(monkeypatch: pytest.MonkeyPatch, others: int, most: int) -> None:
    """On one machine and on two."""
    ranks = Host(monkeypatch, 2, 2, {0, 1}, others).ranks
    gathered: list[bool] = []

    def step(*batch: object, all_gather: object, **options: object) -> float:
        gathered.append(all_gather is not None)
        return 1.0

    trainer = cast(Trainer, SimpleNamespace(learning_rate=0.1, step=step))
    examples = LabelledImages(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.uint8))
    for batch_size in (most, most + 1):
        ranks.agree_on(TrainConfig(distributed=True, batch_size=batch_size))
        batches = np.zeros((1, batch_size // ranks.size), np.int64)
        ranks.run(trainer, examples, batches, np.ones(1, np.float32), batch_size)
    assert gathered == [True, False]
