"""Why an answer should not be relied on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .familiarity import Familiarity

LIKELY = 0.5
FAMILIAR = 1.0


def reason_to_doubt(
    probabilities: NDArray[np.float32], pixels: NDArray[np.uint8], familiarity: Familiarity | None
) -> str | None:
    """Say in a few words why an answer is unsure, None if it is not."""
    if familiarity is not None and familiarity.distances(pixels[np.newaxis])[0] > FAMILIAR:
        return "unlike what the network was trained on"
    if probabilities.max() < LIKELY:
        first, second = np.argsort(probabilities)[: -2 - 1 : -1]
        return f"it could be {first} or {second}"
    return None
