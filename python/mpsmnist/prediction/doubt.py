"""Why an answer should not be relied on.

The scale of the distance is set by training images that were held out, of which 1% are beyond 1. IMPROBABILITY
and the constants of familiarity.py were chosen on 5,200 clean digits of pens, fonts and MNIST's test set, and on
marks that are no digits. A distance so increased is beyond 1 for 1.7% of the digits (0.5% without the printed 1
that has a foot, as hardly any in MNIST), 90% of letters, 94% of scribbles, 78% of crossed-out digits, 57% of
faces, and 98% and more of noise, words, dots and several digits.
"""

import numpy as np
from numpy.typing import NDArray

from .familiarity import Familiarity

LIKELY = 0.5  # less, and the other answers together are likelier
IMPROBABILITY = 0.2  # times what an answer lacks to certainty is added to the distance


def reason_to_doubt(
    probabilities: NDArray[np.float32], pixels: NDArray[np.uint8], familiarity: Familiarity | None
) -> str | None:
    """Say in a few words why an answer is unsure, None if it is not.

    Letters that look like digits, such as O, l, Z and S, are taken for these: 6 in 7 are not doubted.

    Args:
        probabilities: of the classes, (C,).
        pixels: what the network saw, (28, 28).
        familiarity: with the training images; without it, only an improbable answer is unsure.
    """
    highest = float(probabilities.max())
    if highest < LIKELY:
        second, first = np.argsort(probabilities)[-2:]
        return f"it could be {first} or {second}"
    if familiarity is None:
        return None
    distance = float(familiarity.distances(pixels[np.newaxis])[0])
    if distance + IMPROBABILITY * (1 - highest) > 1:
        return "unlike what the network was trained on"
    return None
