"""Whether a network has learned anything at all.

Whoever gives every image the same answer is right at best as often as the most frequent class occurs. Whoever
gives every image the same probabilities has at least the entropy of the classes' shares as mean loss (Gibbs'
inequality); for ten equal classes that is ln 10 = 2.303. A network that is no better in both respects has
learned nothing about images. A learning rate that is too high ends there: no unit of some layer responds to
any image any more, only the last layer's biases learn, and accuracy and loss are just these numbers.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Answers that depend on the image but not on its label are right by chance: in one of 700 test sets they are
# right more often than so many standard deviations above the most frequent class's share.
DEVIATIONS = 3
# A loss counts as better from 1% below the entropy on.
BETTER = 0.99
# Probabilities that differ by less between images are the same: 0 to 2e-6 were seen after learning rates of
# 0.1 to 3, and 0.007 to 0.9 after ones of 1e-7 to 1e-5, which had hardly moved the network.
SAME = 1e-3
# Below so many steps no network need have learned anything; every recipe that works has by then.
FEWEST_STEPS = 100


class Chance(NamedTuple):
    """The best that the same answer for every image can do."""

    accuracy: float
    loss: float
    images: int

    def is_beaten_by(self, accuracy: float, loss: float) -> bool:
        """Tell whether a network with these numbers knows more than that answer."""
        deviation = (self.accuracy * (1 - self.accuracy) / self.images) ** 0.5
        return accuracy > self.accuracy + DEVIATIONS * deviation or loss < BETTER * self.loss


def chance(labels: NDArray[np.uint8]) -> Chance:
    """Compute it for a set with these labels, integers (n,)."""
    shares = np.bincount(labels) / len(labels)
    present = shares[shares > 0]
    return Chance(float(shares.max()), float(-(present * np.log(present)).sum()), len(labels))


def learned(steps: int, accuracy: float, loss: float, labels: NDArray[np.uint8]) -> bool | None:
    """Tell whether a network has learned something, by its accuracy and mean loss on a set with these labels.

    Returns None where it cannot be told: after fewer than FEWEST_STEPS steps, or if all labels are the same.
    """
    by_chance = chance(labels)
    if steps < FEWEST_STEPS or by_chance.accuracy == 1:
        return None
    return by_chance.is_beaten_by(accuracy, loss)


def is_same_answer(probabilities: NDArray[np.float32]) -> bool:
    """Tell whether all images with these probabilities, (n, C), got the same ones."""
    return bool(np.ptp(probabilities, axis=0).max() < SAME)
