"""Which device trains fastest: a GPU often loses on small batches."""

import logging
import operator
import time
from statistics import median

from ._core import DeviceError, Trainer, devices

__all__ = ["fastest_device"]

_log = logging.getLogger(__name__)

ROUNDS = 5  # by turns, so that what else the machine does meets all of them
ROUND_SECONDS = 0.05
MOST_STEPS = 100  # of a round


def fastest_device(batch_size: int = 16, *, threads: int | None = None) -> str:
    """Time training steps on each device that there is, and return the name of the fastest, such as "cpu".

    Each device trains a Trainer of its own on noise, for about a quarter of a second after its first steps;
    the median of five rounds by turns counts. Where there is one device, nothing is timed or tried. The
    logger "mpsmnist.fastest" (INFO) has the milliseconds, and why a device was left out.

    Args:
        batch_size: images a step, 1 or more.
        threads: as of Trainer.

    Raises:
        TypeError: `batch_size` is no integer.
        ValueError: it is below 1, or none of several devices takes so many images or `threads`.
        DeviceError: none of several devices works, or one fails while it is timed.
    """
    size = operator.index(batch_size)
    if size < 1:
        raise ValueError(f"batch_size: {size}; expected 1 or more")
    names = devices()
    if len(names) == 1:
        _log.info("device %s: there is no other here", names[0])
        return names[0]
    contestants = _begin(names, size, threads)
    for _ in range(ROUNDS):
        for contestant in contestants:
            contestant.time_round()
    milliseconds = {each.name: 1000 * median(each.seconds) for each in contestants}
    fastest = min(milliseconds, key=milliseconds.__getitem__)
    figures = ", ".join(f"{each:.3g} ms on {name}" for name, each in milliseconds.items())
    _log.info("device %s: a step with %d images takes %s", fastest, size, figures)
    return fastest


def _begin(names: list[str], size: int, threads: int | None) -> list["_Contestant"]:
    contestants = []
    refusal: DeviceError | ValueError | None = None
    for name in names:
        try:
            contestants.append(_Contestant(name, size, threads))
        except (DeviceError, ValueError) as error:
            _log.info("device %s is left out: %s", name, error)
            refusal = error
    if not contestants and refusal is not None:
        raise refusal
    return contestants


class _Contestant:
    """A device under the clock: `seconds` has those of a step, once a round."""

    def __init__(self, name: str, size: int, threads: int | None) -> None:
        import numpy as np  # noqa: PLC0415 (`import mpsmnist` must stay quick)

        self.name = name
        self.seconds: list[float] = []
        self._trainer = Trainer(name, learning_rate=0, threads=threads)  # its weights stay ordinary numbers
        self._images = np.random.default_rng(0).integers(0, 256, (size, 28, 28), np.uint8)
        self._labels = np.zeros(size, np.uint8)
        self._row = np.arange(size)
        self._run(1)  # which compiles, or wakes threads
        self._steps = min(MOST_STEPS, max(1, int(ROUND_SECONDS / max(self._run(1), 1e-9))))

    def time_round(self) -> None:
        self.seconds.append(self._run(self._steps) / self._steps)

    def _run(self, steps: int) -> float:
        batches = [self._row] * steps
        begin = time.perf_counter()
        self._trainer.run(self._images, self._labels, batches)
        return time.perf_counter() - begin
