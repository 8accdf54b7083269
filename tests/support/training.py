"""Options for runs of few and small steps."""

from __future__ import annotations

from typing import Any

from mpsmnist.train import (
    TrainConfig,
    TrainResult,
    train,
)
from support.datasets import small_dataset

# Small batches: what is tested here does not depend on their size.
SMALL: dict[str, Any] = {"device": "cpu", "batch_size": 2}
CYCLE: dict[str, Any] = SMALL | {
    "momentum": 0.9,
    "init": "he",
    "schedule": "one-cycle",
    "sampling": "shuffle",
    "learning_rate": 0.02,
}


def run(**options: Any) -> TrainResult:
    return train(TrainConfig(**SMALL | options), dataset=small_dataset())
