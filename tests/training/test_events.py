"""What a training run tells its watchers: events as JSON, and the trainer that they may ask."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import mpsmnist
from mpsmnist.data.sources import DIGITS
from mpsmnist.train import (
    CheckpointEvent,
    EvaluationEvent,
    StartEvent,
    StepEvent,
    TrainConfig,
    train,
)
from support.checks import assert_same_state
from support.datasets import small_dataset
from support.training import SMALL


def test_a_result_describes_itself_in_a_line() -> None:
    result = train(TrainConfig(**SMALL, steps=2), dataset=small_dataset())
    assert re.fullmatch(
        r"<TrainResult after 2 steps on discs: test accuracy [0-9.]+%, last loss [0-9.]+, [0-9.]+ s on cpu>",
        repr(result),
    )
    stopped = dataclasses.replace(result, loss=None, test_accuracy=None, interrupted=True)
    assert re.fullmatch(
        r"<TrainResult .*: test accuracy unknown, [0-9.]+ s on cpu, interrupted>", repr(stopped)
    )


def test_every_event_is_plain_json(tmp_path: Path) -> None:
    events: list[Any] = []
    config = TrainConfig(
        **SMALL, steps=2, eval_every=2, target_accuracy=1, seed=2**64 - 1, checkpoint=tmp_path / "run"
    )
    result = train(config, dataset=small_dataset(), on_step=events.append, on_event=events.append)
    told = [event.as_json() for event in (*events, result)]
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert [event["event"] for event in told] == ["start", "step", "step", "eval", "checkpoint", "end"]
    start, step, _, evaluation, saved, end = told
    assert start == {
        "event": "start",
        "version": mpsmnist.__version__,
        "step": 0,
        "total_steps": 2,
        "device": "cpu",
        "threads": result.trainer.threads,
        "ranks": 1,
        "dataset": "discs",
        "train_images": 50,
        "validation_images": 0,
        "test_images": 20,
        "classes": list(DIGITS),
        "batch_size": 2,
        "learning_rate": 0.01,
        "momentum": 0.0,
        "init": "uniform",
        "schedule": "constant",
        "sampling": "replacement",
        "augmentation": "none",
        "seed": 2**64 - 1,
        "target_accuracy": 1.0,
    }
    assert step == {
        "event": "step",
        "step": 1,
        "loss": events[1].loss,
        "learning_rate": float(np.float32(0.01)),
    }
    assert evaluation["accuracy"] == end["test_accuracy"] == result.test_accuracy
    assert saved == {"event": "checkpoint", "step": 2, "path": str(tmp_path / "run")}
    assert (end["steps"], end["seed"], end["loss"]) == (2, 2**64 - 1, result.loss)


def test_an_interrupted_result_is_json_too() -> None:
    result = train(TrainConfig(**SMALL, steps=5), dataset=small_dataset(), stop=lambda: True)
    assert json.loads(json.dumps(result.as_json(), allow_nan=False))["test_accuracy"] is None


def test_a_watcher_gets_the_trainer_and_may_ask_it_in_every_callback() -> None:
    data, config = small_dataset(), TrainConfig(**SMALL, steps=6, eval_every=2)
    trainers: list[mpsmnist.Trainer] = []
    answers: list[tuple[int, mpsmnist.Evaluation]] = []

    def watch(event: StartEvent | StepEvent | EvaluationEvent | CheckpointEvent) -> None:
        if isinstance(event, StartEvent):
            trainers.append(event.trainer)
            assert event.config is config
        trainers[0].predict(data.test_images[:1])
        if isinstance(event, EvaluationEvent):
            answers.append((event.step, trainers[0].evaluate(data.test_images, data.test_labels)))
            assert trainers[0].steps == event.step

    result = train(config, dataset=data, on_step=watch, on_event=watch)
    assert trainers[0] is result.trainer
    assert [(step, answer.loss, answer.accuracy) for step, answer in answers] == [
        (event.step, event.loss, event.accuracy) for event in result.evaluations
    ]


def test_another_thread_may_ask_the_trainer_while_it_trains() -> None:
    """Its answers come between the steps of the run, and change nothing of it."""
    data, config = small_dataset(), TrainConfig(**SMALL, steps=120, eval_every=40)
    asked_after: list[int] = []
    done = threading.Event()
    threads: list[threading.Thread] = []

    def ask(trainer: mpsmnist.Trainer) -> None:
        while not done.is_set():
            trainer.predict(data.test_images[:1])
            asked_after.append(trainer.steps)

    def watch(event: object) -> None:
        if isinstance(event, StartEvent):
            threads.append(threading.Thread(target=ask, args=(event.trainer,)))
            threads[0].start()
        elif isinstance(event, EvaluationEvent):  # or the run might end before the thread gets a turn
            enough, deadline = len(asked_after) + 2, time.monotonic() + 30
            while len(asked_after) < enough and time.monotonic() < deadline:
                time.sleep(0.001)

    try:
        watched = train(config, dataset=data, on_event=watch)
    finally:
        done.set()
        threads[0].join()
    assert {40, 80, 120} <= set(asked_after)
    unwatched = train(config, dataset=data)
    np.testing.assert_array_equal(watched.losses, unwatched.losses)
    assert_same_state(watched.trainer.state_dict(), unwatched.trainer.state_dict())
