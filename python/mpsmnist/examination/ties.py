"""The share of the gradient that each of several equal maxima of a pool gets."""

import numpy as np

from .extent import Extent
from .finding import Outcome, judged
from .numbers import Say
from .subjects import pair

CONVENTIONS = {
    "the first maximum in row-major order gets the gradient": (1, 0, 0, 0),
    "the last maximum in row-major order gets the gradient": (0, 0, 0, 1),
    "equal maxima share the gradient": (0.25, 0.25, 0.25, 0.25),
}

TOLERANCE = 1e-3  # of a share, and of their sum


def ties(device: str, _extent: Extent, _say: Say) -> Outcome:
    """Apple does not document which of four equal maxima gets the gradient, so any may whose shares sum to 1.

    With zero conv0 weights every conv0 output equals the bias, so every window is a tie, whatever the image.
    If an image is 1 at one place of each 2x2 window and 0 elsewhere, the gradient at the kernel's centre is
    that place's share.
    """
    reference, trainer = pair(device)
    state = reference.state_dict()
    state["conv0.weight"] = np.zeros_like(state["conv0.weight"])
    state["conv0.bias"] = np.full_like(state["conv0.bias"], 0.1)
    reference.load_state_dict(state)
    trainer.load_state_dict(state)
    shares = []
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        image = np.zeros((1, 28, 28), np.float32)
        image[:, row::2, column::2] = 1
        whole = reference.gradients(image, [0])["conv0.bias"]
        centre = trainer.gradients(image, [0])["conv0.weight"][2, 2, 0]
        shares.append(float(centre @ whole / (whole @ whole)))
    return judge_shares(shares)


def judge_shares(shares: list[float]) -> Outcome:
    """Name the convention; shares that do not sum to 1 lose or double some of the gradient."""
    convention = "an unknown convention"
    for words, expected in CONVENTIONS.items():
        if np.allclose(shares, expected, atol=TOLERANCE):
            convention = words
    total = sum(shares)
    each = ", ".join(f"{share:.2f}" for share in shares)
    detail = f"{convention} (shares {each}; their sum {total:.2f}, must be 1)"
    return judged(abs(total - 1) <= TOLERANCE, detail, shares=shares, sum=total, tolerance=TOLERANCE)
