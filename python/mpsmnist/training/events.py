"""What a training run reports on its way, and its result.

Each has `as_json()`: a dict of plain JSON values whose "event" names its kind, a line of `--json`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import Trainer, __version__
from ..data import Dataset
from .checkpoint import Checkpoint
from .config import RECIPE_FIELDS, TrainConfig


class StepEvent(NamedTuple):
    """One finished step."""

    step: int  # completed steps, this one included
    loss: float  # the batch's mean loss before this step's update
    learning_rate: float

    def as_json(self) -> dict[str, Any]:
        """Return the event as plain JSON values."""
        return {"event": "step", **self._asdict()}


class StartEvent(NamedTuple):
    """The run is about to begin.

    Whoever watches the run may keep `trainer` and call it while it trains, in a callback or another thread.
    Calls are serialised: one from another thread waits for the chunk of steps under way (loop.CHUNK_SECONDS),
    on a busy machine for a few of them. `predict`, `evaluate`, `gradients`, `state_dict` and reading the
    properties change nothing; whatever sets the weights or the learning rate makes it another run. In
    `on_step` the trainer may be ahead of the event, since a chunk's steps are reported when all are done.

    `checkpoint` makes a checkpoint of the run as it is. It is called where no step is under way: in `stop`,
    in `on_event`, or when the run has ended.
    """

    step: int  # completed steps: 0, or where the checkpoint left off
    total_steps: int
    device: str
    threads: int
    ranks: int  # that train together
    dataset: Dataset
    config: TrainConfig
    trainer: Trainer
    checkpoint: Callable[[], Checkpoint]

    @property
    def train_images(self) -> int:
        """The number of images that the run trains on: those held out are not among them."""
        return self.config.train_images(len(self.dataset.train_images))

    def as_json(self) -> dict[str, Any]:
        """Return the event as plain JSON values: the recipe, and sizes in place of the dataset."""
        return {
            "event": "start",
            "version": __version__,
            "step": self.step,
            "total_steps": self.total_steps,
            "device": self.device,
            "threads": self.threads,
            "ranks": self.ranks,
            "dataset": self.dataset.name,
            "train_images": self.train_images,
            "validation_images": self.config.validation or 0,
            "test_images": len(self.dataset.test_images),
            "classes": list(self.dataset.classes),
            **{name: getattr(self.config, name) for name in (*RECIPE_FIELDS, "target_accuracy")},
        }


class EvaluationEvent(NamedTuple):
    """The network was evaluated after `step` steps.

    With held-out images `loss` and `accuracy` are None but in the last evaluation: the test images are seen
    once. The training images are a sample of TRAIN_SAMPLE, evenly spaced through the training set.
    """

    step: int
    loss: float | None  # of the test images, as is the accuracy
    accuracy: float | None
    train_seconds: float  # training time of this run so far
    epoch: float | None = (
        None  # passes over the training images, at most the run's; None if the run is counted in steps
    )
    train_loss: float | None = None  # at the end of each epoch and of a run that is counted in them
    train_accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None

    def accuracies(self) -> dict[str, float]:
        """Return the accuracies that were measured, by what they are of: "training", "validation", "test"."""
        found = (self.train_accuracy, self.validation_accuracy, self.accuracy)
        named = zip(("training", "validation", "test"), found, strict=True)
        return {name: accuracy for name, accuracy in named if accuracy is not None}

    def as_json(self) -> dict[str, Any]:
        """Return the event as plain JSON values."""
        return {"event": "eval", **self._asdict()}


class CheckpointEvent(NamedTuple):
    """A checkpoint of the first `step` steps is safely on the disk."""

    step: int
    path: Path

    def as_json(self) -> dict[str, Any]:
        """Return the event as plain JSON values."""
        return {"event": "checkpoint", "step": self.step, "path": str(self.path)}


class CheckpointFailedEvent(NamedTuple):
    """The first `step` steps could not be saved; the run goes on, and saves again when that is due."""

    step: int
    path: Path
    error: str

    def warning(self) -> str:
        """Say it to people."""
        return f"step {self.step} is not saved, the run goes on: {self.error}"

    def as_json(self) -> dict[str, Any]:
        """Return the event as plain JSON values."""
        return {"event": "checkpoint_failed", "step": self.step, "path": str(self.path), "error": self.error}


Event = StartEvent | EvaluationEvent | CheckpointEvent | CheckpointFailedEvent

_END_FIELDS = (
    "steps",
    "loss",
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "validation_loss",
    "train_accuracy",
    "train_loss",
    "learned",
    "device",
    "dataset",
    "seed",
    "train_seconds",
    "steps_per_second",
)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The result of a run. Seconds, losses and evaluations exclude those of a run that it resumed."""

    steps: int  # completed steps from the very beginning
    loss: float | None  # of the last step; None if none was left to do
    test_accuracy: float | None  # None when the run was interrupted
    test_loss: float | None
    validation_accuracy: float | None = None  # None without held-out images
    validation_loss: float | None = None
    train_accuracy: float | None = None  # as in the last EvaluationEvent
    train_loss: float | None = None
    learned: bool | None = None  # False: it is at chance level; None: it cannot be told, see chance.learned()
    device: str
    dataset: str
    seed: int
    train_seconds: float  # sampling and training; no loading, evaluation, checkpoints or callbacks
    steps_per_second: float | None
    interrupted: bool
    target_reached: bool | None  # None without a target accuracy
    losses: NDArray[np.float32]  # (steps of this run,)
    evaluations: list[EvaluationEvent]
    trainer: Trainer

    def __repr__(self) -> str:
        accuracy = "unknown" if self.test_accuracy is None else f"{self.test_accuracy:.2%}"
        loss = "" if self.loss is None else f", last loss {self.loss:.4g}"
        return (
            f"<TrainResult after {self.steps} steps on {self.dataset}: test accuracy {accuracy}{loss}, "
            f"{self.train_seconds:.1f} s on {self.device}{', interrupted' if self.interrupted else ''}>"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain JSON values, without the arrays."""
        return {"event": "end", **{name: getattr(self, name) for name in _END_FIELDS}}
