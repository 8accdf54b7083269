"""Checks of steps in flight: `run` and `step_async`, which have two, against `step`; and repeatability."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .._core import Trainer
from ..wording import counted
from .extent import Extent
from .finding import Outcome, judged, worst
from .numbers import DECISION_TOLERANCE, Say
from .subjects import FloatArray, State, changes, make_batch, make_trainer, same_bits

Integers = NDArray[np.int64]
Way = Callable[[Trainer, FloatArray, Integers, Integers], list[float]]  # images, labels, batches: losses

IMAGES = 64  # that the steps draw their batches from
# Where a device does not repeat its own bits, steps in flight may differ so many times as much.
NOISE = 10


def by_step(trainer: Trainer, images: FloatArray, labels: Integers, batches: Integers) -> list[float]:
    """One step at a time."""
    return [trainer.step(images[rows], labels[rows]) for rows in batches]


def by_run(trainer: Trainer, images: FloatArray, labels: Integers, batches: Integers) -> list[float]:
    """All steps in one native call."""
    return [float(loss) for loss in trainer.run(images, labels, batches)]


def by_step_async(trainer: Trainer, images: FloatArray, labels: Integers, batches: Integers) -> list[float]:
    """Each step started as soon as it can be."""
    pending = [trainer.step_async(images[rows], labels[rows]) for rows in batches]
    return [loss.result() for loss in pending]


def in_flight(way: Way, momentum: float) -> Callable[[str, Extent, Say], Outcome]:
    """The same steps, two of them in flight and one by one: the same bits."""

    def check(device: str, extent: Extent, say: Say) -> Outcome:
        batches = _draw(extent.flight_steps, extent)
        steps = counted(len(batches), "step")
        say(f"{steps}, one by one")
        expected = _train(device, momentum, batches, by_step)
        say(f"{steps}, two in flight")
        found = _train(device, momentum, batches, way)
        if _same(expected, found):
            return judged(True, f"{steps}: the same bits as one by one", difference=0.0, tolerance=0.0)
        say(f"{steps}, one by one again")
        again = _train(device, momentum, batches, by_step)
        before = make_trainer(device, momentum=momentum).state_dict()
        return _explain(before, expected, found, again)

    return check


def repeatable(device: str, extent: Extent, say: Say) -> Outcome:
    """Two runs of the same steps: the CPU promises the same bits, and other devices do not."""
    batches = _draw(extent.training_steps, extent)
    steps = counted(len(batches), "step")
    say(f"{steps}, twice")
    first, second = (_train(device, 0.9, batches, by_step) for _ in range(2))
    tolerance = 0.0 if device == "cpu" else DECISION_TOLERANCE
    if _same(first, second):
        return judged(True, f"{steps} twice: the same bits", difference=0.0, tolerance=tolerance)
    difference, name = _difference(make_trainer(device, momentum=0.9).state_dict(), first, second)
    limit = f"at most {tolerance:.0e}" if tolerance else "must be the same bits"
    detail = f"{steps} twice: updates differ by {difference:.1e} (worst: {name}; {limit})"
    good = device != "cpu" and difference <= tolerance
    return Outcome("info" if good else "FAIL", detail, {"difference": difference, "tolerance": tolerance})


def any_threads(device: str, extent: Extent, say: Say) -> Outcome:
    """The CPU engine with one thread and with all: the same bits."""
    batches = _draw(extent.training_steps, extent)
    count = make_trainer(device).threads
    what = f"{counted(len(batches), 'step')} with 1 thread and with {count}"
    say(what)
    runs = [_train(device, 0.9, batches, by_step, threads=threads) for threads in (1, None)]
    same = _same(*runs)
    return judged(same, f"{what}: {'the same bits' if same else 'different bits'}", threads=count)


Run = tuple[list[float], State]  # losses, and the state after the last step


def _draw(steps: int, extent: Extent) -> Integers:
    return np.random.default_rng(1).integers(0, IMAGES, (steps, extent.batch_size))


def _train(device: str, momentum: float, batches: Integers, way: Way, threads: int | None = None) -> Run:
    trainer = make_trainer(device, momentum=momentum, threads=threads)
    return way(trainer, *make_batch(0, IMAGES), batches), trainer.state_dict()


def _same(expected: Run, found: Run) -> bool:
    return expected[0] == found[0] and same_bits(expected[1], found[1])


def _difference(before: State, expected: Run, found: Run) -> tuple[float, str]:
    """Return the largest relative difference of updates and of the mean loss, and its name."""
    losses = {"loss": abs(float(np.mean(found[0]) / np.mean(expected[0])) - 1)}
    return worst(changes(before, expected[1], found[1]) | losses)


def _explain(before: State, expected: Run, found: Run, again: Run) -> Outcome:
    """Judge steps in flight that gave other bits, by what two runs without any differ by."""
    difference, name = _difference(before, expected, found)
    noise, _ = _difference(before, expected, again)
    first = next((k for k, loss in enumerate(found[0], 1) if loss != expected[0][k - 1]), None)
    tolerance = NOISE * noise
    values = {"difference": difference, "tolerance": tolerance, "noise": noise, "first_step": first}
    detail = (
        f"{counted(len(expected[0]), 'step')}, updates differ from those one by one by {difference:.1e} "
        f"(worst: {name}), losses from step {first} on; two runs one by one differ by {noise:.1e} "
        f"(at most {NOISE} times that: {tolerance:.0e})"
    )
    return Outcome("info" if difference <= tolerance else "FAIL", detail, values)
