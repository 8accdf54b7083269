"""What the server tells the page, as plain JSON values."""

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import __version__, devices
from ..data import DATASETS, Dataset
from ..prediction.predictor import Prediction
from ..training.config import PRESETS
from ..training.mistakes import Mistake
from .findings import Findings
from .reader import Weights
from .session import Runs

MOST_SHOWN = 36  # images of a cell, or mistakes


def hello(*, has_network: bool) -> dict[str, Any]:
    """What the form offers, and whether there is a network to read and to save before a run."""
    return {
        "type": "hello",
        "version": __version__,
        "presets": PRESETS,
        "datasets": DATASETS,
        "devices": ["auto", *devices()],
        "opened": has_network,
    }


def status(runs: Runs, losses: int, evaluations: int) -> dict[str, Any]:
    """How the run is, with what is new after so many losses and evaluations; there is one, or a start."""
    starting = runs.starting
    run = runs.run or starting
    assert run is not None
    rate = run.steps_per_second()
    start = run.start
    new = run.losses[losses:]  # a copy: the run goes on
    message = {
        "type": "status",
        "run": runs.number,
        "starts": runs.starts,
        "starting": starting is not None and not starting.is_over,
        "state": run.state,
        "error": run.error if starting is None else starting.error,
        "warning": run.warning,
        "first": losses,
        "losses": [round(loss, 5) if math.isfinite(loss) else None for loss in new],
        "evaluations": [[e.step, e.accuracy, e.loss] for e in run.evaluations[evaluations:]],
        "rate": rate,
    }
    if start is not None:
        left = start.total_steps - run.step
        message |= {
            "total": start.total_steps,
            "left": left / rate if rate else None,
            "device": start.device,
            "dataset": start.dataset.name,
            "synthetic": start.dataset.name == "synthetic" and run.config.dataset == "auto",
        }
    return message


def answer(prediction: Prediction, step: int) -> dict[str, Any]:
    """What the network says of a picture."""
    return {
        "type": "answer",
        "digit": prediction.digit,
        "names": prediction.classes,
        "probabilities": [round(p, 5) for p in prediction.probabilities],
        "unsure": prediction.unsure,
        "pixels": _encode(prediction.pixels),
        "step": step,
    }


def look(findings: Findings) -> dict[str, Any]:
    """What the network gets wrong."""
    mistakes = findings.mistakes()
    return {
        "type": "look",
        "step": findings.step,
        "images": len(findings.labels),
        "wrong": len(mistakes),
        "names": findings.dataset.classes,
        "confusion": findings.confusion().tolist(),
        "mistakes": _pictures(mistakes, findings.dataset),
    }


def cell(findings: Findings, label: int, predicted: int) -> dict[str, Any]:
    """Those test images of one class that are taken for another, or rightly for itself."""
    found = findings.cell(label, predicted)
    return {
        "type": "cell",
        "label": label,
        "answer": predicted,
        "count": len(found),
        "pictures": _pictures(found, findings.dataset),
    }


def filters(weights: Weights, first: NDArray[np.float32] | None) -> dict[str, Any]:
    """The 32 filters of conv0, 5x5 each, now and, if that is known, when the run began."""
    return {
        "type": "filters",
        "step": weights.step,
        "now": _filters(weights.state["conv0.weight"]),
        "first": None if first is None else _filters(first),
    }


def _filters(kernel: NDArray[np.float32]) -> list[list[float]]:
    """From (5, 5, 1, 32) to 32 lists of 25."""
    return kernel.reshape(25, -1).T.astype(np.float64).round(4).tolist()


def _pictures(found: list[Mistake], dataset: Dataset) -> list[dict[str, Any]]:
    return [
        {
            "image": each.image,
            "label": each.label,
            "answer": each.predicted,
            "probability": round(each.confidence, 4),
            "pixels": _encode(dataset.test_images[each.image]),
        }
        for each in found[:MOST_SHOWN]
    ]


def _encode(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(pixels.tobytes()).decode()
