"""A trained network that reads pictures."""

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import Trainer
from ..training.checkpoint import load
from .pictures import prepare


class Prediction(NamedTuple):
    """The network's answer for one picture."""

    image: str
    digit: int
    probabilities: list[float]
    inverted: bool  # the picture was dark on light


def load_trainer(path: str | os.PathLike[str], device: str = "auto", threads: int | None = None) -> Trainer:
    """Make a Trainer with the weights of a checkpoint. Raises CheckpointError and DeviceError."""
    saved = load(path)
    trainer = Trainer(device=device, num_classes=saved.num_classes, threads=threads)
    trainer.load_state_dict(saved.state)
    return trainer


def predict_picture(
    trainer: Trainer, name: str, picture: NDArray[np.uint8], invert: bool | None = None
) -> Prediction:
    """Read a picture of one digit, uint8 (height, width). Raises PictureError if it is blank."""
    digit = prepare(picture, invert)
    probabilities = trainer.predict(digit.pixels[np.newaxis])[0]
    return Prediction(name, int(probabilities.argmax()), probabilities.tolist(), digit.inverted)
