"""Which training images make up which batch: a pure function of the seed and the step.

Nothing here keeps state that matters, so a resumed run needs only its step count. NumPy's own generators are
not used: the streams behind their methods may change between NumPy versions, and these batches must not.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Sampling = Literal["replacement", "shuffle"]
SAMPLINGS: tuple[str, ...] = get_args(Sampling)

_GAMMA = 0x9E3779B97F4A7C15  # SplitMix64's increment: 2^64 divided by the golden ratio, made odd
_MASK = 0xFFFFFFFFFFFFFFFF


def splitmix64(key: int, positions: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Compute the outputs at `positions` (from 0) of the SplitMix64 generator whose seed is `key`.

    Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (OOPSLA 2014), with the constants of
    Vigna's public reference code. Any output can be had without those before it.
    """
    z = np.uint64(key & _MASK) + (positions + np.uint64(1)) * np.uint64(_GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Sampler:
    """Draws batches of indices into `size` images.

    - "replacement": every index is drawn from all images, as the original sample does.
    - "shuffle": every image once per epoch, in an order of that epoch's own. A batch may begin in one epoch
      and end in the next, so no image is ever left out and every batch is full.
    """

    def __init__(self, sampling: Sampling, *, size: int, batch_size: int, seed: int) -> None:
        self._sampling = sampling
        self._size = size
        self._batch_size = batch_size
        self._seed = seed
        self._orders: dict[int, NDArray[np.int64]] = {}

    def batches(self, step: int, count: int) -> NDArray[np.int64]:
        """Return the indices, int64 (count, batch_size), of the `count` steps after the first `step`."""
        begin = step * self._batch_size
        end = begin + count * self._batch_size
        draw = self._draw if self._sampling == "replacement" else self._deal
        return draw(begin, end).reshape(count, self._batch_size)

    def _draw(self, begin: int, end: int) -> NDArray[np.int64]:
        """Scale the high 32 bits by multiply and shift (Lemire 2019); the bias is below size / 2^32."""
        high = splitmix64(self._key(0), np.arange(begin, end, dtype=np.uint64)) >> np.uint64(32)
        return ((high * np.uint64(self._size)) >> np.uint64(32)).astype(np.int64)

    def _deal(self, begin: int, end: int) -> NDArray[np.int64]:
        epochs = range(begin // self._size, (end - 1) // self._size + 1)
        self._orders = {epoch: self._order(epoch) for epoch in epochs}
        first = epochs.start * self._size
        return np.concatenate(list(self._orders.values()))[begin - first : end - first]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Sort the images by a hash of (seed, epoch, image): the epoch's permutation."""
        if epoch in self._orders:
            return self._orders[epoch]
        hashes = splitmix64(self._key(epoch), np.arange(self._size, dtype=np.uint64))
        return np.argsort(hashes, kind="stable").astype(np.int64)

    def _key(self, stream: int) -> int:
        """Return the key of one of the seed's independent streams."""
        return int(splitmix64(self._seed, np.array([stream], np.uint64))[0])
