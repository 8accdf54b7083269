"""Which training images are held out, which make up which batch, and how they are augmented.

All of it is a function of the seed and the step.
No state here matters, so a resumed run needs only its step count. The random numbers are SplitMix64's, not
NumPy's: the streams behind NumPy's methods may change between its versions, and these batches must not.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .._core import splitmix64

Sampling = Literal["replacement", "shuffle"]
SAMPLINGS: tuple[str, ...] = get_args(Sampling)

# Streams of the seed; batches use those from 0 on.
_HELD_OUT = 2**63
_AUGMENTATION = 2**63 + 1


def augmentation_seed(seed: int) -> int:
    """Return the seed for the augmentation of the images that are drawn."""
    return _key(seed, _AUGMENTATION)


def held_out(size: int, count: int, seed: int) -> NDArray[np.bool_]:
    """Choose `count` of `size` images at random, whatever their labels: a mask (size,)."""
    mask = np.zeros(size, np.bool_)
    mask[_permutation(seed, _HELD_OUT, size)[:count]] = True
    return mask


class Sampler:
    """Draws batches of indices into `size` images.

    - "replacement": every index is drawn from all images, as the original sample does.
    - "shuffle": every image once per epoch, in a new order each epoch. A batch may begin in one epoch and
      end in the next, so no image is ever left out and every batch is full.
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
        high: NDArray[np.uint64] = splitmix64(_key(self._seed, 0), np.arange(begin, end)) >> np.uint64(32)
        return ((high * np.uint64(self._size)) >> np.uint64(32)).astype(np.int64)

    def _deal(self, begin: int, end: int) -> NDArray[np.int64]:
        epochs = range(begin // self._size, (end - 1) // self._size + 1)
        self._orders = {epoch: self._order(epoch) for epoch in epochs}
        first = epochs.start * self._size
        return np.concatenate(list(self._orders.values()))[begin - first : end - first]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch in self._orders:
            return self._orders[epoch]
        return _permutation(self._seed, epoch, self._size)


def _permutation(seed: int, stream: int, size: int) -> NDArray[np.int64]:
    """Sort the images by a hash of (seed, stream, image)."""
    hashes = splitmix64(_key(seed, stream), np.arange(size))
    return np.argsort(hashes, kind="stable").astype(np.int64)


def _key(seed: int, stream: int) -> int:
    """Return the key of one of the seed's independent streams."""
    return int(splitmix64(seed, stream))
