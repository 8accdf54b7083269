"""The images that a network reads as another class."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Mistake(NamedTuple):
    """An image that was read as another class."""

    image: int  # its index in the set
    label: int
    predicted: int
    confidence: float  # the probability of the wrong class


def find_mistakes(probabilities: NDArray[np.float32], labels: NDArray[Any]) -> list[Mistake]:
    """Find the wrong predictions, the worst first: those whose true class got the least probability.

    probabilities: float32 (n, C), from Trainer.predict; labels: integers (n,).
    """
    predicted = probabilities.argmax(axis=1)
    of_label = probabilities[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(predicted != labels)
    worst_first = wrong[np.argsort(of_label[wrong], kind="stable")]
    return [
        Mistake(int(i), int(labels[i]), int(predicted[i]), float(probabilities[i, predicted[i]]))
        for i in worst_first
    ]
