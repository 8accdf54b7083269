"""A trained network that reads pictures."""

import logging
import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import Trainer
from ..picture_files import Picture
from ..training.checkpoint import Checkpoint, load_weights
from ..training.familiarity import Familiarity, familiarity_of
from .doubt import reason_to_doubt
from .pictures import Digit, prepare_all, prepare_and_count

_log = logging.getLogger(__name__)


class Network(NamedTuple):
    """A trained network, and what is known of the images that it was trained on."""

    trainer: Trainer
    familiarity: Familiarity | None
    classes: tuple[str, ...]  # what to print for each class


class Prediction(NamedTuple):
    """The network's answer for one digit, or whatever it was trained to tell apart.

    Attributes:
        image: the picture's name.
        digit: the number of the most probable class.
        probabilities: of each class.
        inverted: whether the picture was dark on light.
        unsure: why the answer should not be relied on, None if it may be.
        pixels: uint8 (28, 28), what the network saw.
        classes: what to print for each class: "7", "A" or "Ankle boot".
    """

    image: str
    digit: int
    probabilities: list[float]
    inverted: bool
    unsure: str | None
    pixels: NDArray[np.uint8]
    classes: tuple[str, ...]

    @property
    def answer(self) -> str:
        """What to print for the most probable class."""
        return self.classes[self.digit]


def load_network(path: str | os.PathLike[str], device: str = "auto", threads: int | None = None) -> Network:
    """Load what a run or save_weights() saved into a Trainer. Raises CheckpointError and DeviceError."""
    saved = load_weights(path)
    if saved.familiarity is None and not isinstance(saved, Checkpoint):
        _log.info(
            "%r does not know what it was trained on: only improbable answers are unsure "
            "(save_weights() of mpsmnist.checkpoint takes the training images)",
            os.fspath(path),
        )
    trainer = Trainer(device=device, num_classes=saved.num_classes, threads=threads)
    trainer.load_state_dict(saved.state)
    return Network(trainer, familiarity_of(saved), saved.classes)


def predict_picture(
    network: Network,
    name: str,
    picture: Picture,
    invert: bool | None = None,
    *,
    advice: str = "try --many",
) -> Prediction:
    """Read a picture of one digit.

    Args:
        network: by load_network().
        name: what the prediction's `image` is to be.
        picture: uint8, grey (h, w), colour (h, w, 3) or colour with alpha (h, w, 4).
        invert: whether it is dark on light; None judges by the picture.
        advice: what the prediction's `unsure` says to do about more than one digit.

    Raises:
        PictureError: no digit is found.
        TypeError: the picture is no array of uint8.
        ValueError: it has another shape.
    """
    _require_picture(picture)
    digit, count = prepare_and_count(picture, invert)
    prediction = _predict(network, name, digit)
    return prediction if count == 1 else prediction._replace(unsure=f"{count} digits: {advice}")


def predict_digits(
    network: Network, name: str, picture: Picture, invert: bool | None = None
) -> list[Prediction]:
    """Read all digits of a picture, left to right and line after line. As predict_picture() otherwise."""
    _require_picture(picture)
    return [_predict(network, name, digit) for digit in prepare_all(picture, invert)]


def _require_picture(picture: object) -> None:
    if not isinstance(picture, np.ndarray):
        kind = type(picture).__name__
        raise TypeError(f"picture is a {kind}, expected a NumPy array: read_pictures() makes one of a file")
    expected = "expected uint8 of shape (h, w), (h, w, 3) or (h, w, 4)"
    if picture.dtype != np.uint8:
        raise TypeError(f"picture has the dtype {picture.dtype}, {expected}: levels are 0 to 255")
    if picture.size == 0 or (picture.ndim != 2 and not (picture.ndim == 3 and picture.shape[2] in (3, 4))):
        raise ValueError(f"picture has the shape {picture.shape}, {expected}")


def _predict(network: Network, name: str, digit: Digit) -> Prediction:
    probabilities = network.trainer.predict(digit.pixels[np.newaxis])[0]
    return Prediction(
        image=name,
        digit=int(probabilities.argmax()),
        probabilities=probabilities.tolist(),
        inverted=digit.inverted,
        unsure=digit.doubt
        or reason_to_doubt(probabilities, digit.pixels, network.familiarity, network.classes),
        pixels=digit.pixels,
        classes=network.classes,
    )
