"""Training on several processes, on one machine or many, with MPI. Needs mpi4py.

Each rank computes the gradients of its share of a batch. Trainer.step() gives them to all_reduce() part by
part, the dense layers' first: 98% of 13 MB, which travel while the convolutions' are still computed. With
small batches nearly all of that is made from its factors instead, which gatherer() collects: see traffic.py.
"""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._core import NotFiniteError, Trainer, describe_devices
from ..errors import Error
from .config import ConfigError, TrainConfig
from .ranks import Ranks
from .split import LabelledImages
from .traffic import MEMORY, NETWORK, prefers_factors

T = TypeVar("T")

_MOST_CORES = 1024  # of a host

EXTRA = "pip install 'mpsmnist[mpi]'"

# How many processes were started together, as Open MPI says it, or MPICH and its relatives.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def started_together() -> str:
    """Return how many processes mpirun has started with this one, itself included; "1" without mpirun."""
    return next((size for name in _SIZES if (size := os.environ.get(name, "1")) != "1"), "1")


def connect(*, finalize: bool = True) -> "MpiRanks":
    """Join the ranks that mpirun started together with this process; without it, be the only one.

    Args:
        finalize: let MPI end with the process, which then waits for the other ranks, unless an exception that
            nothing caught ends them all. Otherwise it ends by close(), and a process that ends without makes
            mpirun end the others.

    Raises:
        Error: mpi4py cannot be imported, or was before, without MPI's support of threads; or MPI does not
            know the processes that mpirun started.
    """
    try:
        import mpi4py  # noqa: PLC0415 (it is optional)

        mpi4py.rc.finalize = finalize
        mpi4py.rc.thread_level = "serialized"
        # Open MPI polls while it waits, on a core that a thread may want to compute on: with 8 ranks of 2
        # threads on 16 cores, a step took 36 ms instead of 42.
        os.environ.setdefault("OMPI_MCA_mpi_yield_when_idle", "1")
        from mpi4py import MPI  # noqa: PLC0415 (which initializes MPI)
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is mpi4py, but no MPI
        raise Error(f"training on several ranks needs mpi4py and an MPI: {EXTRA} ({error})") from error
    if MPI.Query_thread() < MPI.THREAD_SERIALIZED:  # MpiRanks has a thread of its own call it
        raise Error(
            "MPI was initialized for a single thread, expected mpi4py.rc.thread_level 'serialized' or more"
        )
    if finalize:
        _end_all_with_this()
    ranks = MpiRanks(MPI)
    if ranks.size == 1 and (started := started_together()) != "1":  # each would train, and save, on its own
        raise Error(
            f"mpirun has started {started} processes, but MPI knows this one alone: mpirun has ended since, "
            "or belongs to another MPI than mpi4py"
        )
    return ranks


@functools.cache
def _end_all_with_this() -> None:
    """Let an exception that nothing catches end all ranks, as `python -m mpi4py` does.

    MPI_Finalize would wait for the others, which wait for this one.
    """
    from mpi4py.run import set_abort_status  # noqa: PLC0415 (it is optional)

    report = sys.excepthook

    def report_and_abort(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        report(kind, error, traceback)
        set_abort_status(error)

    sys.excepthook = report_and_abort


class _Begun(Generic[T]):
    """What Trainer.step() waits for."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def wait(self) -> T:
        return self._future.result()


class MpiRanks(Ranks):
    """The ranks of MPI's COMM_WORLD."""

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        self._world = mpi.COMM_WORLD
        self.rank = self._world.Get_rank()
        self.size = self._world.Get_size()
        self._bytes_per_second = NETWORK  # until agree_on() knows better
        # Sums travel while a thread of their own is in MPI: Open MPI does nothing for MPI_Iallreduce between
        # two calls, and its sum of 13 MB then takes longer than that of MPI_Allreduce.
        self._adder = ThreadPoolExecutor(1, "mpsmnist all_reduce")
        self._gathered = np.empty((0, 0), np.float32)

    def close(self) -> None:
        """Leave MPI, for good, when all ranks do."""
        self._mpi.Finalize()

    def agree_on(self, config: TrainConfig) -> TrainConfig:
        config = self.from_first(config)
        if config.batch_size < self.size:
            raise ConfigError(f"batch_size is {config.batch_size}, expected at least the {self.size} ranks")
        if not self.is_first:
            config = dataclasses.replace(
                config, checkpoint=None, checkpoint_every=None, overwrite=False, resume=None, init_from=None
            )
        return dataclasses.replace(config, threads=self._take_cores(config.threads))

    def check_same(self, what: str, value: str) -> None:
        values = self._world.allgather(value)
        other = next((rank for rank in range(self.size) if values[rank] != values[0]), None)
        if other is not None:
            raise Error(f"{what}: {values[other]} on rank {other}, expected {values[0]} as on rank 0")

    def from_first(self, value: T) -> T:
        shared: T = self._world.bcast(value)
        return shared

    def any(self, flag: bool) -> bool:
        return bool(self._world.allreduce(flag, op=self._mpi.LOR))

    def begin_alike(self, trainer: Trainer) -> None:
        state = trainer.state_dict()
        for values in state.values():
            self._world.Bcast(values)
        trainer.load_state_dict(state)

    def run(
        self,
        trainer: Trainer,
        examples: LabelledImages,
        batches: NDArray[np.int64],
        learning_rates: NDArray[np.float32],
        batch_size: int,
    ) -> NDArray[np.float32]:
        losses = np.full(len(batches), np.nan)
        rate_before = trainer.learning_rate
        factors = prefers_factors(batch_size, self.size, self._bytes_per_second)
        all_gather = self.gatherer(batch_size) if factors else None
        for step, (rows, rate) in enumerate(zip(batches, learning_rates.tolist(), strict=True)):
            trainer.learning_rate = rate
            try:
                loss = trainer.step(
                    examples.images[rows],
                    examples.labels[rows],
                    all_reduce=self.all_reduce,
                    all_gather=all_gather,
                    global_batch_size=batch_size,
                )
            except NotFiniteError:  # the sum, on all ranks
                break
            losses[step] = loss * len(rows) / batch_size
        trainer.learning_rate = rate_before
        self._world.Allreduce(self._mpi.IN_PLACE, losses)
        return losses.astype(np.float32)

    def all_reduce(self, part: NDArray[np.float32]) -> _Begun[None]:
        """Begin to add up the part over all ranks, in place, for Trainer.step()."""
        return _Begun(self._adder.submit(self._world.Allreduce, self._mpi.IN_PLACE, part))

    def gatherer(self, batch_size: int) -> Callable[[NDArray[np.float32]], _Begun[NDArray[np.float32]]]:
        """Return all_gather for Trainer.step(), of batches of which each rank has its share()."""
        images = np.diff(self.ends(batch_size))

        def gather(rows: NDArray[np.float32]) -> NDArray[np.float32]:
            columns = rows.shape[1]
            if self._gathered.shape != (batch_size, columns):
                self._gathered = np.empty((batch_size, columns), np.float32)
            self._world.Allgatherv(rows, [self._gathered, images * columns])
            return self._gathered

        return lambda rows: _Begun(self._adder.submit(gather, rows))

    def _take_cores(self, threads: int | None) -> int:
        """Return `threads`, by default this rank's share of its host's cores, which are let run there.

        mpirun binds each of two ranks to one core, unless it is told otherwise: a rank that is bound to fewer
        cores than it has threads frees itself.
        """
        host = self._world.Split_type(self._mpi.COMM_TYPE_SHARED)
        ranks: int = host.Get_size()
        host.Free()
        if ranks == self.size:
            self._bytes_per_second = MEMORY
        if not hasattr(os, "sched_getaffinity"):  # not Linux, where nothing binds processes
            return threads or max(1, _usable_cores() // ranks)
        bound = os.sched_getaffinity(0)
        os.sched_setaffinity(0, range(_MOST_CORES))  # those of them that the system grants
        threads = threads or max(1, _usable_cores() // ranks)
        if len(bound) >= threads:
            os.sched_setaffinity(0, bound)
        return threads


def _usable_cores() -> int:
    return int(describe_devices()["cpu"]["cores"])
