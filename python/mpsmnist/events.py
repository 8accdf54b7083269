"""What a training run tells while it goes on, and what it came to."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._core import Trainer
from .data import Dataset


class StepEvent(NamedTuple):
    """One finished step."""

    step: int  # completed steps, this one included
    loss: float  # the batch's mean loss before this step's update
    learning_rate: float


class StartEvent(NamedTuple):
    """The run is about to begin."""

    step: int  # completed steps: 0, or where the checkpoint left off
    total_steps: int
    device: str
    threads: int
    dataset: Dataset


class EvaluationEvent(NamedTuple):
    """The test set was evaluated after `step` steps."""

    step: int
    loss: float
    accuracy: float
    train_seconds: float  # training time of this run so far


class CheckpointEvent(NamedTuple):
    """A checkpoint of the first `step` steps is safely on the disk."""

    step: int
    path: Path


Event = StartEvent | EvaluationEvent | CheckpointEvent


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a run came to. Seconds, losses and evaluations leave out the run that it resumed."""

    steps: int  # completed steps from the very beginning
    loss: float | None  # of the last step; None when there was none to do
    test_accuracy: float | None  # None when the run was interrupted
    test_loss: float | None
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
