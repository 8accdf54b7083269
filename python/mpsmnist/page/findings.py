"""What a network gets right and wrong on the test images, and what its first filters look like."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..training.mistakes import Mistake, find_mistakes
from .reader import Weights


class Findings(NamedTuple):
    """A network's answers for the test images of a dataset."""

    step: int
    dataset: Dataset
    probabilities: NDArray[np.float32]  # (M, C)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(M,)."""
        return self.dataset.test_labels

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.probabilities[0])

    def confusion(self) -> NDArray[np.int64]:
        """(C, C): how many images of the row's class are taken for the column's."""
        pairs = self.labels.astype(np.int64) * self.classes + self.probabilities.argmax(axis=1)
        return np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    def mistakes(self) -> list[Mistake]:
        """The worst first."""
        return find_mistakes(self.probabilities, self.labels)

    def cell(self, label: int, answer: int) -> list[Mistake]:
        """The images of a class that get an answer, the most certain answers first."""
        predicted = self.probabilities.argmax(axis=1)
        images = np.flatnonzero((self.labels == label) & (predicted == answer))
        certain_first = images[np.argsort(-self.probabilities[images, answer], kind="stable")]
        return [Mistake(int(i), label, answer, float(self.probabilities[i, answer])) for i in certain_first]


def find(weights: Weights, dataset: Dataset) -> Findings:
    """Predict the test images, with one thread: a run may be training beside it."""
    probabilities = weights.trainer().predict(dataset.test_images)
    return Findings(weights.step, dataset, probabilities)
