"""The processes that train one network together, each with a share of every batch; most often only this one.

They are called ranks, as in MPI, whose implementation of this class is in mpi.py.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .._core import Trainer
from .config import TrainConfig
from .split import LabelledImages

T = TypeVar("T")


class Ranks:
    """This process alone: `rank` 0 of `size` 1.

    Rank 0 logs, evaluates and saves. Methods but `share` and `ends` are called by all ranks, in the same
    order.
    """

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """Return which images of each batch are this rank's: sizes differ by one at most."""
        begin, end = self.ends(batch_size)[self.rank : self.rank + 2]
        return slice(begin, end)

    def ends(self, batch_size: int) -> list[int]:
        """Return where in a batch each rank's share begins, and where the last one ends."""
        return [batch_size * rank // self.size for rank in range(self.size + 1)]

    def agree_on(self, config: TrainConfig) -> TrainConfig:
        """Return rank 0's options, for others without what it alone does, and with this rank's threads.

        Raises:
            ConfigError: batches are too small for so many ranks.
        """
        return config

    def check_same(self, what: str, value: str) -> None:
        """Raise Error unless `value` is the same on all ranks; `what` is what it is for people."""

    def from_first(self, value: T) -> T:
        """Return rank 0's `value`."""
        return value

    def any(self, flag: bool) -> bool:
        """Tell whether `flag` is set on any rank."""
        return flag

    def begin_alike(self, trainer: Trainer) -> None:
        """Give all trainers the weights and momentum buffers of rank 0's."""

    def run(
        self,
        trainer: Trainer,
        examples: LabelledImages,
        batches: NDArray[np.int64],
        learning_rates: NDArray[np.float32],
        batch_size: int,
    ) -> NDArray[np.float32]:
        """Make one step per row of `batches` and return the mean losses over all ranks, float32 (k,).

        Args:
            trainer: this rank's.
            examples: images and labels.
            batches: rows of indices into the examples, (k, n): this rank's share of the batches.
            learning_rates: float32 (k,).
            batch_size: images in a batch, over all ranks.
        """
        return trainer.run(*examples, batches, learning_rates=learning_rates)
