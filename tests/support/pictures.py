"""Pictures of a digit, and weights to recognize it with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mpsmnist
from mpsmnist.checkpoint import Checkpoint, save
from mpsmnist.data.sources import DIGITS
from mpsmnist.training.config import TrainConfig

Grey = NDArray[np.uint8]


def drawing(height: int = 120, width: int = 200) -> Grey:
    """A slanted stroke of light ink on black, off centre and thicker below."""
    rows, columns = np.mgrid[:height, :width]
    stroke = (abs(columns - 60 - 0.4 * rows) < 4 + rows / 8) & (rows > 20) & (rows < 90)
    return np.where(stroke, 230, 0).astype(np.uint8)


def write_png(path: Path, picture: Grey) -> Path:
    Image.fromarray(picture).save(path)
    return path


def save_weights(path: Path, classes: Sequence[str] = DIGITS) -> mpsmnist.Trainer:
    """Save the initial weights of seed 3, and return their trainer."""
    trainer = mpsmnist.Trainer(device="cpu", seed=3, init="he", num_classes=len(classes))
    options = TrainConfig().saved_options()
    fields = {"step": 0, "total_steps": 1, "dataset": "discs", "fingerprint": "0"}
    saved = Checkpoint(state=trainer.state_dict(), options=options, classes=tuple(classes), **fields)  # type: ignore[arg-type]
    save(path, saved)
    return trainer
