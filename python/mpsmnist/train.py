"""Train a network: `mpsmnist train`, `python -m mpsmnist.train`, or from Python.

from mpsmnist.train import TrainConfig, train

result = train(TrainConfig.preset("fast", epochs=1), on_step=lambda event: print(event.step, event.loss))
print(result.test_accuracy)
"""

import sys
from collections.abc import Sequence

from .commands.main import run_subcommand

if __name__ == "__main__":  # before the other imports: the command does its own, where Ctrl-C is handled
    sys.exit(run_subcommand("train", "python -m mpsmnist.train"))

from .training.config import PRESETS, ConfigError, TrainConfig
from .training.events import (
    CheckpointEvent,
    CheckpointFailedEvent,
    EvaluationEvent,
    Event,
    StartEvent,
    StepEvent,
    TrainResult,
)
from .training.loop import DivergedError, UnsavedError, resumed_config, train

__all__ = [
    "PRESETS",
    "CheckpointEvent",
    "CheckpointFailedEvent",
    "ConfigError",
    "DivergedError",
    "EvaluationEvent",
    "Event",
    "StartEvent",
    "StepEvent",
    "TrainConfig",
    "TrainResult",
    "UnsavedError",
    "main",
    "resumed_config",
    "train",
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_subcommand("train", "python -m mpsmnist.train", argv)
