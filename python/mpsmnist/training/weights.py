"""Save the network of a Trainer, wherever it was trained."""

import os
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import Trainer
from ..data.sources import number_names
from ..network import without_momentum
from .checkpoint import SavedWeights, save


def save_weights(
    path: str | os.PathLike[str],
    trainer: Trainer,
    *,
    classes: Sequence[str] | None = None,
    images: NDArray[np.uint8] | None = None,
    labels: NDArray[np.integer[Any]] | None = None,
) -> None:
    """Save a Trainer's network for `mpsmnist predict`, `mpsmnist app` and `mpsmnist train --init-from`.

    The file is whole or absent, and safetensors of the parameters by name, float32, in the layouts of
    Trainer.state_dict(). There is no momentum in it, and no run that `--resume` could continue: the loop was
    not mpsmnist.train's. A file that exists is replaced.

    Args:
        path: of the file.
        trainer: of any device and number of classes C. Waits for its steps in flight.
        classes: what to print for each class, C names; by default their numbers.
        images: what it was trained on, uint8 (n, 28, 28) of 0 to 255, 2,000 or more, given with `labels`. To
            describe them takes a second, and lets predictions be unsure of pictures that are unlike them.
            Without them an answer is unsure only if it is improbable.
        labels: the classes of the images, integers (n,).

    Raises:
        TypeError: `trainer` is no Trainer, or the images or labels have another dtype.
        ValueError: `classes` are not C names; images and labels do not fit each other, or tell too little;
            the Trainer takes standardized images, while predictions are made of images of 0 to 1.
        CheckpointError: the file cannot be written, or the weights are not finite.
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer is a {type(trainer).__name__}, expected a Trainer")
    if trainer.standardized:
        raise ValueError(
            "trainer takes standardized images, but predictions are made of images of 0 to 1; "
            "if it was trained on such, load its state_dict() into a Trainer without standardized=True"
        )
    count = trainer.num_classes
    names = number_names(count) if classes is None else tuple(classes)
    if len(names) != count or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"classes: {reprlib.repr(names)}, expected {count} names")
    familiarity = None
    if images is not None or labels is not None:
        familiarity = _learn(images, labels, count)
    weights = without_momentum(trainer.state_dict())
    save(path, SavedWeights(state=weights, classes=names, step=trainer.steps, familiarity=familiarity))


def _learn(images: object, labels: object, num_classes: int) -> dict[str, NDArray[Any]]:
    from .familiarity import LEAST_IMAGES, learn  # noqa: PLC0415 (it imports SciPy)

    if images is None or labels is None:
        raise TypeError("images and labels: one of them is missing, expected both or none")
    x, y = np.asarray(images), np.asarray(labels)
    if x.dtype != np.uint8 or y.dtype.kind not in "iu":
        raise TypeError(f"images and labels: dtypes {x.dtype} and {y.dtype}, expected uint8 and integers")
    if x.shape[1:] != (28, 28) or y.shape != x.shape[:1]:
        raise ValueError(f"images and labels: shapes {x.shape} and {y.shape}, expected (n, 28, 28) and (n,)")
    if y.size and not (y.min() >= 0 and y.max() < num_classes):
        raise ValueError(f"labels: from {y.min()} to {y.max()}, expected 0 to {num_classes - 1}")
    found = learn(x, y)
    if found is None:
        raise ValueError(
            f"images: {len(x)}, too few or too much alike, expected {LEAST_IMAGES:,} or more that differ"
        )
    return found._asdict()
