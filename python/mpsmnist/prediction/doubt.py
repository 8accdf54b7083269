"""Why an answer should not be relied on.

The scale of the distance is set by training images that were held out, of which 1% are beyond 1. The
constants here and in training/familiarity.py were chosen on 5,800 pictures of digits from pens, fonts and
MNIST's test set, and on 3,500 of what is none; FAMILIAR was chosen anew once strokes were redrawn. On 500
others of each kind, a network of the fast preset was unsure of 0.9% of clean digits and 1.1% of photos; on
124 of each kind, of 88% of letters, 96% of scribbles, 97% of faces and 86% of crossed-out digits. Of shapes,
textures and noise, all were unsure. Several digits are counted by predictor.py.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..training.familiarity import Familiarity

LIKELY = 0.4
FAMILIAR = 0.94  # at 0.95, 2.5% more of the letters pass for digits; at 0.93, 0.3% more digits are unsure
IMPROBABILITY = 0.1  # times what an answer lacks to certainty is added to the distance


def reason_to_doubt(
    probabilities: NDArray[np.float32],
    pixels: NDArray[np.uint8],
    familiarity: Familiarity | None,
    classes: Sequence[str],
) -> str | None:
    """Say in a few words why an answer is unsure, None if it is not.

    Letters that look like digits, such as O, l, Z and S, are taken for these: 9 in 10 are not doubted. So are
    a tenth of the others, most of them a, e, y and J.

    Args:
        probabilities: of the classes, (C,).
        pixels: what the network saw, (28, 28).
        familiarity: with the training images; without it, only an improbable answer is unsure.
        classes: their names.
    """
    highest = float(probabilities.max())
    if highest < LIKELY:
        second, first = np.argsort(probabilities)[-2:]
        return f"it could be {classes[first]} or {classes[second]}"
    if familiarity is None:
        return None
    distance = float(familiarity.distances(pixels[np.newaxis])[0])
    if distance + IMPROBABILITY * (1 - highest) > FAMILIAR:
        return "unlike what the network was trained on"
    return None
