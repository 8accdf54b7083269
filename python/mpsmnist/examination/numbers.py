"""Checks of numbers against the CPU engine: weights, gradients, predictions, steps."""

from collections.abc import Callable

import numpy as np

from ..wording import counted
from .extent import Extent
from .finding import Outcome, judged, worst
from .subjects import (
    FloatArray,
    changes,
    make_batch,
    make_trainer,
    pair,
    relative_error,
    same_bits,
)

Say = Callable[[str], None]  # told what a check does, for people who watch and for when it never ends

# Both engines compute in float32 and differ only in the order of their sums: a few hundred times float32's
# epsilon (6e-8) at most over sums of up to 3136 x 16 terms. A wrong kernel is off by far more.
TOLERANCE = 1e-4
# For what depends on decisions: now and then a near-tie in a ReLU or a pool goes the other way in a correct
# engine, and over many steps some updates are so small that the weights' own rounding shows: 4e-4 was seen.
DECISION_TOLERANCE = 1e-2
# Up to so many images a near-tie is too rare to allow for. At 256 there are 2.4 million pooling windows.
FEW_IMAGES = 3
# What depends on no decision: ReLU and pooling are continuous, and no derivative of theirs is in these.
CONTINUOUS = ("loss", "fc1.weight", "fc1.bias")


def initial_weights(device: str, _extent: Extent, _say: Say) -> Outcome:
    """The same seed gives the same weights on every device."""
    expected, found = (make_trainer(d, seed=7).state_dict() for d in ("cpu", device))
    same = same_bits(expected, found)
    detail = "the same bits as on the CPU" if same else "other bits than on the CPU"
    difference = max(float(np.abs(expected[k] - found[k]).max()) for k in expected)
    return judged(same, detail, difference=difference, tolerance=0.0)


def gradients(n: int) -> Callable[[str, Extent, Say], Outcome]:
    """Gradients and the loss of n images, for each number of classes."""

    def check(device: str, extent: Extent, say: Say) -> Outcome:
        errors: dict[str, float] = {}
        for classes in extent.classes:
            say(f"{counted(n, 'image')}, {classes} classes")
            batch = make_batch(0, n, classes)
            errors |= _gradient_errors(device, batch, classes)
        return _judged_by_tolerance(errors, n)

    return check


def predictions(n: int) -> Callable[[str, Extent, Say], Outcome]:
    """Probabilities of n images, for each number of classes."""

    def check(device: str, extent: Extent, say: Say) -> Outcome:
        errors = {}
        for classes in extent.classes:
            say(f"{counted(n, 'image')}, {classes} classes")
            images, _ = make_batch(0, n, classes)
            expected, found = (each.predict(images) for each in pair(device, num_classes=classes))
            errors[f"{classes} classes"] = float(np.abs(expected - found).max())
        return _judge("largest difference in a probability", errors, dict.fromkeys(errors, TOLERANCE))

    return check


def soft_labels(device: str, extent: Extent, _say: Say) -> Outcome:
    """Gradients for labels that are probabilities."""
    images, _ = make_batch(0, extent.batch_size)
    labels = np.random.default_rng(1).random((len(images), 10), np.float32)
    labels /= labels.sum(axis=1, keepdims=True)
    return _judged_by_tolerance(_gradient_errors(device, (images, labels), 10), len(images))


def one_step(device: str, extent: Extent, _say: Say) -> Outcome:
    """The loss and the update of one step."""
    reference, trainer = pair(device)
    before = reference.state_dict()
    batch = make_batch(0, extent.batch_size)
    losses = [each.step(*batch) for each in (reference, trainer)]
    errors = changes(before, reference.state_dict(), trainer.state_dict())
    return _judged_by_tolerance(errors | {"loss": _loss_error(losses)}, len(batch[0]))


def training(momentum: float) -> Callable[[str, Extent, Say], Outcome]:
    """Single steps from the CPU's weights: near-ties make two correct runs drift apart."""

    def check(device: str, extent: Extent, say: Say) -> Outcome:
        reference, trainer = (make_trainer(d, momentum=momentum) for d in ("cpu", device))
        errors: dict[str, float] = {}
        for step in range(extent.training_steps):
            say(f"step {step + 1} of {extent.training_steps}")
            before = reference.state_dict()
            trainer.load_state_dict(before)
            losses = [each.step(*make_batch(step, extent.batch_size)) for each in (reference, trainer)]
            found = changes(before, reference.state_dict(), trainer.state_dict())
            errors |= {f"{name}, step {step + 1}": error for name, error in found.items()}
            errors[f"loss, step {step + 1}"] = _loss_error(losses)
        words = f"{counted(extent.training_steps, 'step')}, worst relative error"
        return _judge(words, errors, dict.fromkeys(errors, DECISION_TOLERANCE))

    return check


def _gradient_errors(device: str, batch: tuple[FloatArray, object], classes: int) -> dict[str, float]:
    expected, found = (each.gradients(*batch) for each in pair(device, num_classes=classes))  # type: ignore[arg-type]
    errors = {name: relative_error(expected[name], found[name]) for name in expected}
    errors["loss"] = _loss_error([expected.loss, found.loss])
    return {f"{name}, {classes} classes": error for name, error in errors.items()}


def _loss_error(losses: list[float]) -> float:
    return abs(losses[1] - losses[0]) / abs(losses[0])


def _judged_by_tolerance(errors: dict[str, float], n: int) -> Outcome:
    """Judge errors, named "TENSOR" or "TENSOR, ...", of a batch of n images."""
    strict = {k for k in errors if n <= FEW_IMAGES or k.split(",")[0] in CONTINUOUS}
    tolerance = {k: TOLERANCE if k in strict else DECISION_TOLERANCE for k in errors}
    return _judge("worst relative error", errors, tolerance)


def _judge(words: str, errors: dict[str, float], tolerance: dict[str, float]) -> Outcome:
    """Judge errors, each by its own tolerance; told is the one that is the worst beside its tolerance."""
    ratio, where = worst({name: error / tolerance[name] for name, error in errors.items()})
    detail = f"{words} {errors[where]:.1e} ({where}; at most {tolerance[where]:.0e})"
    return judged(ratio <= 1, detail, errors=errors, tolerance=tolerance)
