"""The option --distributed: what each of the processes does that mpirun has started."""

import warnings
from collections.abc import Callable

from ..data import load
from ..errors import Error
from ..training.config import ConfigError, TrainConfig
from ..training.events import Event
from ..training.loop import DivergedError, train
from ..training.mpi import MpiRanks, connect, started_together
from . import signals
from .console import DONE, complain


def train_together(parse: Callable[[], TrainConfig], lead: Callable[[TrainConfig], int], program: str) -> int:
    """Train on all processes that mpirun has started; returns the exit code.

    Rank 0 alone calls `parse` and `lead`, which trains and reports. If a rank fails, it ends without taking
    leave of MPI, whereupon mpirun ends the others.

    Raises:
        Error: mpi4py cannot be imported, or this rank failed.
    """
    ranks = connect(finalize=False)
    if ranks.size == 1:
        complain(program, f"this is the only process: mpirun -n 2 {program} --distributed ... starts two")
    config = ranks.from_first(parse() if ranks.is_first else None)
    assert config is not None
    code = lead(config) if ranks.is_first else _follow(config, ranks)
    if code == DONE:
        ranks.close()
    return code


def _follow(config: TrainConfig, ranks: MpiRanks) -> int:
    """Train as a rank that reports nothing but why it failed, if the others do not fail alike."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rank 0 says it
            dataset = load(config.dataset, **config.data_options)
        with signals.deferred() as stop:
            train(config, dataset=dataset, on_event=_ignore, stop=stop)
    except (ConfigError, DivergedError):
        ranks.from_first(None)  # rank 0 says why, and ends this
    except signals.Interrupted as interrupted:
        return interrupted.exit_code
    except Error as error:
        raise Error(f"rank {ranks.rank}: {error}") from error
    return DONE


def _ignore(event: Event) -> None:
    """Report nothing."""


def warn_of_mpirun(program: str) -> None:
    """Warn a user who has started several processes, but not together."""
    if (size := started_together()) != "1":
        complain(
            program,
            f"warning: {size} processes were started, and each trains a network of its own: "
            "with --distributed they train one",
        )
