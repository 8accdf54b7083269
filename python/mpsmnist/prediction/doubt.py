"""Why an answer should not be relied on."""

import numpy as np
from numpy.typing import NDArray

from ..training.familiarity import Familiarity

LIKELY = 0.5  # less, and the other answers together are likelier
# An improbable answer adds this much of its improbability to the distance. Chosen, with what familiarity.py
# has, on digits and marks that no network was trained on: of good digits 1.7% are unsure, 0.5% without the
# printed 1 that has a foot, as none in MNIST; of letters 90%, scribbles 94%, noise, dots and pairs of digits
# 98% and more.
IMPROBABILITY = 0.2


def reason_to_doubt(
    probabilities: NDArray[np.float32], pixels: NDArray[np.uint8], familiarity: Familiarity | None
) -> str | None:
    """Say in a few words why an answer is unsure, None if it is not.

    Letters that look like digits, such as O, l, Z and S, are taken for these: 9 in 10 are not doubted.

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
