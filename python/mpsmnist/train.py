"""Train a network: `python -m mpsmnist.train`, or from Python.

from mpsmnist.train import TrainConfig, train

result = train(TrainConfig.preset("fast", epochs=1), on_step=lambda event: print(event.step, event.loss))
print(result.test_accuracy)
"""

import sys

from .cli import main
from .events import CheckpointEvent, EvaluationEvent, Event, StartEvent, StepEvent, TrainResult
from .loop import DivergedError, resumed_config, train
from .recipe import PRESETS, ConfigError, TrainConfig

__all__ = [
    "PRESETS",
    "CheckpointEvent",
    "ConfigError",
    "DivergedError",
    "EvaluationEvent",
    "Event",
    "StartEvent",
    "StepEvent",
    "TrainConfig",
    "TrainResult",
    "main",
    "resumed_config",
    "train",
]

if __name__ == "__main__":
    sys.exit(main())
