"""Why an answer should not be relied on.

The scale of the distance is set by training images that were held out, of which 1% are beyond 1. The
constants here and in training/familiarity.py were chosen on 5,200 clean digits of pens, fonts and MNIST's
test set, and on marks that are no digits, for a network of the fast preset. Of the digits 2.0% are unsure
(0.8% without the printed 1 that has a foot, as hardly any in MNIST), of letters 90%, of scribbles 94%, of
crossed-out digits 80%, of noise and faces 90% and more. Several digits are counted by predictor.py.
"""

import numpy as np
from numpy.typing import NDArray

from ..training.familiarity import Familiarity

LIKELY = 0.4
FAMILIAR = 0.92
IMPROBABILITY = 0.1  # times what an answer lacks to certainty is added to the distance


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
    if distance + IMPROBABILITY * (1 - highest) > FAMILIAR:
        return "unlike what the network was trained on"
    return None
