"""The network of this moment: of a checkpoint, or of a run that may still be training."""

import threading
import time
from concurrent.futures import Future
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .._core import Trainer
from ..errors import Error
from ..network import without_momentum
from ..picture_files import Picture
from ..prediction.predictor import Network, Prediction, predict_picture
from ..training.checkpoint import SavedWeights
from ..training.familiarity import Familiarity, familiarity_of
from .run import Run

NEW_AFTER = 0.25  # seconds; to copy the weights for a reader keeps a run from training for some milliseconds


class NoNetworkError(Error):
    """There is nothing to predict with."""

    def __init__(self) -> None:
        super().__init__("there is no network yet: train one")


class Weights(NamedTuple):
    """A network's parameters by name, after `step` steps."""

    step: int
    state: dict[str, NDArray[np.float32]]

    def trainer(self) -> Trainer:
        """Make a trainer with these weights and one thread, for predictions beside a run."""
        trainer = Trainer("cpu", num_classes=len(self.state["fc1.bias"]), threads=1)
        trainer.load_state_dict(self.state)
        return trainer


class Source(Protocol):
    """Where a network comes from."""

    def newest(self) -> Weights:
        """The newest weights that are to be had without waiting. Raises NoNetworkError."""

    @property
    def familiarity(self) -> Familiarity | None:
        """With the images that the network was trained on; None while it is not known."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What to print for each class; known when there are weights."""


class Opened:
    """The network of a checkpoint."""

    def __init__(self, saved: SavedWeights) -> None:
        self._weights = Weights(saved.step, without_momentum(saved.state))
        self.familiarity = familiarity_of(saved)
        self.classes = saved.classes

    def newest(self) -> Weights:
        """As of any source."""
        return self._weights


class Following:
    """The network of a run that has begun: weights are asked for when wanted and others, and come later."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._weights: Weights | None = None
        self._asked: Future[Weights] | None = None
        self._asked_at = 0.0

    @property
    def familiarity(self) -> Familiarity | None:
        """Known when the run is over."""
        return self._run.familiarity

    @property
    def classes(self) -> tuple[str, ...]:
        """As of any source."""
        assert self._run.start is not None
        return self._run.start.dataset.classes

    def newest(self) -> Weights:
        """As of any source; waits for the first weights of a run."""
        if self._asked is not None and (self._weights is None or self._asked.done()):
            self._weights = self._asked.result()
        is_old = self._weights is None or self._weights.step != self._run.step
        is_due = self._asked is None or (self._asked.done() and time.monotonic() - self._asked_at > NEW_AFTER)
        if is_old and (is_due or self._run.is_over):
            self._asked_at = time.monotonic()
            self._asked = self._run.between_steps(self._take)
            if self._weights is None or self._run.is_over:
                self._weights = self._asked.result()
        assert self._weights is not None
        return self._weights

    def _take(self) -> Weights:
        assert self._run.start is not None
        return Weights(self._run.step, without_momentum(self._run.start.trainer.state_dict()))


class Reader:
    """Reads pictures with the newest weights of a source. Its methods may be called in several threads."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._weights: Weights | None = None
        self._trainer: Trainer | None = None

    def weights(self) -> Weights:
        """The newest weights. Raises NoNetworkError."""
        with self._lock:
            return self._source.newest()

    def read(self, picture: Picture, invert: bool | None = None) -> tuple[Prediction, int]:
        """Read a picture of one digit, as predict_picture(), and tell after how many steps of training.

        Raises:
            NoNetworkError: there is no network yet.
            PictureError: nothing is there.
        """
        with self._lock:
            weights = self._source.newest()
            if self._trainer is None:
                self._trainer = weights.trainer()
            elif weights is not self._weights:
                self._trainer.load_state_dict(weights.state)
            self._weights = weights
            network = Network(self._trainer, self._source.familiarity, self._source.classes)
            prediction = predict_picture(network, "", picture, invert, advice="draw one at a time")
            return prediction, weights.step
