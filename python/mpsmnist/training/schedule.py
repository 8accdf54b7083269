"""The learning rate of each step of a run, and the steps after which it is evaluated."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Schedule = Literal["constant", "one-cycle"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)

# The one-cycle shape: up from START of the peak in the first WARM_UP of the run, then down to END of it.
WARM_UP = 0.2
START = 0.1
END = 0.001

# A run with a target accuracy, with curves, or of more epochs is evaluated about so often, if nothing says
# otherwise. To evaluate an epoch takes a tenth of the time that training it takes.
EVALUATIONS = 10


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


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """After which numbers of completed steps a run is evaluated; the last step is always one.

    Nothing here is as long as the run: 2^31 steps may each be evaluated.
    """

    total: int  # steps of the run
    epoch: Fraction | None = None  # steps in a pass over the images
    epochs: int = 1  # passes from one evaluation to the next
    every: int | None = None  # steps, counted from the beginning of the epoch, or else of the run
    points: tuple[int, ...] = ()  # other numbers of steps, ascending

    def __contains__(self, step: int) -> bool:
        return 0 < step <= self.total and self.next_after(step - 1) == step

    def __iter__(self) -> Iterator[int]:
        step = 0
        while step < self.total:
            yield (step := self.next_after(step))

    def next_after(self, step: int) -> int:
        """Return the first evaluated number of steps above `step`, which is below `total`."""
        begin, steps = 0, [self.total]
        if self.epoch is not None:
            completed = step // self.epoch
            begin = math.ceil(completed * self.epoch)
            steps.append(math.ceil((completed // self.epochs + 1) * self.epochs * self.epoch))
        if self.every is not None:
            steps.append(step + self.every - (step - begin) % self.every)
        steps += [point for point in self.points if point > step]
        return min(steps)

    def ends_epoch(self, step: int) -> bool:
        """Tell whether `step` completes an epoch, or the run, of a run that is counted in epochs."""
        if self.epoch is None:
            return False
        return step == self.total or math.ceil((step // self.epoch) * self.epoch) == step > 0


def plan_evaluations(
    schedule: Schedule,
    total: int,
    every: int | None,
    *,
    epoch: Fraction | None = None,
    has_target: bool,
    curves: bool = False,
) -> EvaluationPlan:
    """Plan the evaluations of a run of `total` steps, with `epoch` steps in an epoch if it counts in epochs.

    Each epoch is evaluated then, or without `every` each second, third and so on of more than EVALUATIONS.
    Without `every`, a run with a target accuracy is evaluated at least ten times: evenly when the learning
    rate is constant, but ever closer together in the last half of a one-cycle run, which is at its best at
    the end. With neither, a run whose `curves` are wanted is evaluated evenly.
    """
    if every is not None:
        return EvaluationPlan(total=total, epoch=epoch, every=every)
    epochs = 1 if epoch is None else max(1, math.ceil(total // epoch / EVALUATIONS))
    points: tuple[int, ...] = ()
    if has_target and schedule != "constant":
        points = tuple(round(total * (1 - 0.5 * 0.75**i)) for i in range(EVALUATIONS - 1))
    elif has_target or curves:
        every = _even_interval(total, epoch)
    return EvaluationPlan(total=total, epoch=epoch, epochs=epochs, every=every, points=points)


def _even_interval(total: int, epoch: Fraction | None) -> int | None:
    """Return the interval in steps at which a run is evaluated EVALUATIONS times, or a few more.

    Of a run that counts in epochs it is a part of an epoch, so that the last interval of each is no stump, or
    None where the ends of epochs are enough.
    """
    if epoch is None:
        return math.ceil(total / EVALUATIONS)
    parts = math.ceil(EVALUATIONS * epoch / total)  # of each epoch
    return None if parts == 1 else math.ceil(epoch / parts)
