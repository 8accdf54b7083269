"""How a contestant looks in every picture: a colour for its form, a marker for its device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# Okabe and Ito's colours and two of Tol's, which people with any kind of colour vision can tell apart.
COLOURS = {
    "mpsmnist": "#0072B2",
    "mpsmnist-gradients": "#56B4E9",
    "torch": "#D55E00",  # of time_to_accuracy.py, which is channels_last
    "torch-channels-last": "#D55E00",
    "torch-eager": "#E69F00",
    "torch-compile": "#CC79A7",
    "torch-graph": "#882255",
    "torch-flush-denormals": "#AA4499",
    "jax": "#009E73",
    "mlx": "#332288",
    "tinygrad": "#999933",
    "numpy": "#555555",
}
SPARE_COLOURS = ("#44AA99", "#661100", "#000000")  # contestants that have no entry above
MARKERS = {"cpu": "o", "mps": "s", "cuda": "^"}
OURS = "mpsmnist"


class Style(NamedTuple):
    """What all points, lines and names of a contestant have in common."""

    colour: str
    marker: str
    weight: str  # of its name


def styles(contestants: Iterable[str]) -> dict[str, Style]:
    """The style of each, by names such as mpsmnist-cpu, torch-eager-mps or mpsmnist-cpu@before."""
    spare = iter(SPARE_COLOURS)
    found = {}
    for name in dict.fromkeys(contestants):
        form, _, device = name.rpartition("-")
        if device not in MARKERS:  # it has none, or another version of ours, which needs a colour of its own
            form, device = name, "cpu"
        colour = COLOURS.get(form) or next(spare, SPARE_COLOURS[-1])
        found[name] = Style(colour, MARKERS[device], "bold" if name.startswith(OURS) else "normal")
    return found
