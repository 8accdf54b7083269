"""The learning rate of each step of a run, and the steps after which it is evaluated."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Schedule = Literal["constant", "one-cycle"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)

# The one-cycle shape: up from START of the peak in the first WARM_UP of the run, then down to END of it.
WARM_UP = 0.2
START = 0.1
END = 0.001


def learning_rates(
    schedule: Schedule, peak: float, *, first: int, count: int, total: int
) -> NDArray[np.float32]:
    """Compute the learning rates, float32 (count,), of `count` steps of `total` from the 0-based `first` on.

    "one-cycle" is L. N. Smith, "A disciplined approach to neural network hyper-parameters: part 1" (2018,
    arXiv 1803.09820), with straight lines up and down and constant momentum. Straight lines need no library
    functions, whose last bits may differ between platforms.
    """
    if schedule == "constant":
        return np.full(count, peak, np.float32)
    progress = (np.arange(first, first + count) + 0.5) / total
    shape = np.interp(progress, [0.0, WARM_UP, 1.0], [START, 1.0, END])
    return (peak * shape).astype(np.float32)


def evaluation_steps(schedule: Schedule, total: int, every: int | None, *, has_target: bool) -> list[int]:
    """Return the numbers of completed steps after which the test set is evaluated: ascending, up to `total`.

    Without `every`, a run with a target accuracy is evaluated ten times: evenly when the learning rate is
    constant, but ever closer together in the last half of a one-cycle run, which is at its best at the end.
    """
    if every is not None:
        points = list(range(every, total, every))
    elif has_target and schedule == "constant":
        points = [total * i // 10 for i in range(1, 10)]
    elif has_target:
        points = [round(total * (1 - 0.5 * 0.75**i)) for i in range(9)]
    else:
        points = []
    return sorted({point for point in points if point > 0} | {total})
