"""Runs of few and small steps, and saves of theirs that fail."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from mpsmnist import CheckpointError, checkpoint
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


def fail_saves(monkeypatch: pytest.MonkeyPatch, which: range = range(1000)) -> None:
    """Let runs find the disk full in these of their saves, counted from 0."""
    original, calls = checkpoint.save, []

    def save(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) - 1 in which:
            path = arguments[0]
            raise CheckpointError(f"checkpoint '{path}' cannot be written: {os.strerror(errno.ENOSPC)}")
        original(*arguments)

    monkeypatch.setattr("mpsmnist.training.loop.save_checkpoint", save)
