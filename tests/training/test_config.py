"""The options of a run: defaults, presets, what overrides what, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpsmnist import Trainer
from mpsmnist.training.config import (
    MAX_BATCH_SIZE,
    MAX_STEPS,
    MAX_THREADS,
    PRESETS,
    RECIPE_FIELDS,
    SAVED_FIELDS,
    ConfigError,
    TrainConfig,
    check_output,
    merge,
)


def test_the_defaults_are_the_originals_numbers() -> None:
    config = TrainConfig()
    assert config == TrainConfig.preset("original")
    assert (config.batch_size, config.learning_rate, config.momentum) == (16, 0.01, 0.0)
    assert (config.init, config.schedule, config.sampling) == ("uniform", "constant", "replacement")
    assert config.total_steps(60_000) == 300


def test_a_preset_sets_all_that_makes_a_run_what_it_is() -> None:
    """Or else `--resume PATH --preset NAME` would not notice that the checkpoint is of another kind."""
    for name, options in PRESETS.items():
        assert set(RECIPE_FIELDS) - {"seed"} <= options.keys(), name


def test_the_fast_preset() -> None:
    config = TrainConfig.preset("fast")
    assert {name: getattr(config, name) for name in PRESETS["fast"]} == PRESETS["fast"]
    assert config.total_steps(60_000) == math.ceil(PRESETS["fast"]["epochs"] * 60_000 / config.batch_size)


def test_options_override_a_preset() -> None:
    config = TrainConfig.preset("fast", learning_rate=0.125, seed=4)
    assert (config.learning_rate, config.seed, config.momentum) == (0.125, 4, PRESETS["fast"]["momentum"])


def test_a_length_in_steps_overrides_one_in_epochs_and_the_reverse() -> None:
    assert TrainConfig.preset("fast", steps=5).total_steps(60_000) == 5
    assert merge({"steps": 300}, {"epochs": 2.0}) == {"steps": None, "epochs": 2.0}
    assert merge({"epochs": 2.0}, {"seed": 1}) == {"epochs": 2.0, "seed": 1}


@pytest.mark.parametrize(
    ("epochs", "images", "steps"),
    [(1, 160, 10), (1, 161, 11), (3, 160, 30), (0.5, 160, 5), (0.001, 160, 1), (5e-324, 160, 1)],
)
def test_epochs_are_rounded_up_to_whole_steps(epochs: float, images: int, steps: int) -> None:
    assert TrainConfig(epochs=epochs, batch_size=16).total_steps(images) == steps


@pytest.mark.parametrize("epochs", [1e300, 1e308, MAX_STEPS + 1.0])
def test_more_steps_than_can_be_counted_are_refused(epochs: float) -> None:
    with pytest.raises(ConfigError, match=r"epochs is .* steps of 16 images, expected at most 2147483647"):
        TrainConfig(epochs=epochs, batch_size=16).total_steps(16)
    assert TrainConfig(epochs=MAX_STEPS, batch_size=16).total_steps(16) == MAX_STEPS


def test_the_limit_of_threads_is_the_cores() -> None:
    with pytest.raises(ValueError, match=f"threads: {MAX_THREADS + 1}; expected 1 to {MAX_THREADS}"):
        Trainer(device="cpu", threads=MAX_THREADS + 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps is 0, expected a whole number from 1"),
        ({"steps": True}, "steps is True"),
        ({"steps": 1.5}, "steps is 1.5"),
        ({"epochs": 0}, "epochs is 0, expected a number above 0"),
        ({"epochs": math.inf}, "epochs is inf"),
        ({"steps": 3, "epochs": 1}, "steps is 3, but epochs is 1: give one of them"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"batch_size": None}, "batch_size is None"),
        ({"learning_rate": 0}, "learning_rate is 0, expected a number above 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"learning_rate": "0.1"}, "learning_rate is '0.1'"),
        ({"learning_rate": 1e39}, r"learning_rate is 1e\+39, expected .* finite as a float32"),
        ({"learning_rate": 1e-46}, "learning_rate is 1e-46, expected a number above 0"),
        ({"momentum": 0.999999999999}, "momentum is 0.999999999999, expected .* below 1 as a float32"),
        ({"momentum": -1e-50}, "momentum is -1e-50"),
        ({"epochs": 10**400}, "epochs is 1000"),
        ({"batch_size": MAX_BATCH_SIZE + 1}, f"batch_size is 1048577, expected .* to {MAX_BATCH_SIZE}"),
        ({"threads": MAX_THREADS + 1}, f"threads is 1025, expected a whole number from 1 to {MAX_THREADS}"),
        ({"momentum": 1}, "momentum is 1, expected a number at least 0 and below 1"),
        ({"init": "zeros"}, "init is 'zeros', expected one of uniform, he"),
        ({"init": []}, r"init is \[\]"),
        ({"schedule": "cosine"}, "schedule is 'cosine', expected one of constant, one-cycle"),
        ({"sampling": "random"}, "sampling is 'random', expected one of replacement, shuffle"),
        ({"augmentation": True}, "augmentation is True, expected one of none, distort"),
        ({"device": "cuda"}, "device is 'cuda', expected one of auto, mps, cpu"),
        ({"dataset": None}, "dataset is None"),
        ({"seed": -1}, "seed is -1, expected a whole number from 0 to 18446744073709551615"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"threads": 0}, "threads is 0"),
        ({"eval_every": 0}, "eval_every is 0"),
        ({"validation": 0}, "validation is 0, expected a whole number from 1"),
        ({"target_accuracy": 99}, "target_accuracy is 99, expected a number above 0 and at most 1"),
        ({"checkpoint": 3}, "checkpoint is 3, expected a path"),
        ({"checkpoint_every": 5}, "checkpoint_every needs a checkpoint"),
        ({"overwrite": True}, "overwrite needs a `checkpoint` path"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainConfig(**options)


def test_some_images_must_remain_to_train_on() -> None:
    assert TrainConfig(validation=49).train_images(50) == 1
    assert TrainConfig().train_images(50) == 50
    with pytest.raises(ConfigError, match="validation is 50, expected fewer than the 50 training images"):
        TrainConfig(validation=50).train_images(50)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ConfigError, match="preset is 'slow', expected one of original, fast"):
        TrainConfig.preset("slow")


def test_numpy_numbers_and_path_strings_are_taken() -> None:
    config = TrainConfig(steps=np.int64(5), learning_rate=np.float32(0.5), seed=2**64 - 1, checkpoint="run")  # type: ignore[arg-type]
    assert (type(config.steps), type(config.learning_rate)) == (int, float)
    assert config.checkpoint == Path("run")


def test_saved_options_survive_json() -> None:
    config = TrainConfig.preset(
        "fast", seed=2**64 - 1, learning_rate=0.1, validation=7, checkpoint="run", checkpoint_every=5
    )
    saved = json.loads(json.dumps(config.saved_options()))
    assert saved.keys() == set(SAVED_FIELDS)
    assert TrainConfig(**saved, checkpoint="run") == config


def test_a_config_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().steps = 3  # type: ignore[misc]


def test_outputs_are_checked_before_training(tmp_path: Path) -> None:
    check_output("plot", tmp_path / "plot.png")
    with pytest.raises(ConfigError, match=r"plot is .* which is a folder"):
        check_output("plot", tmp_path)
    with pytest.raises(ConfigError, match="there is no folder"):
        check_output("plot", tmp_path / "absent" / "plot.png")


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere, so chmod would not do
    with pytest.raises(ConfigError, match=r"checkpoint is .* cannot be written to"):
        check_output("checkpoint", tmp_path / "run.safetensors")


def test_paths_may_have_a_tilde_and_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUN", "7")
    config = TrainConfig(data_dir="~/mnist", checkpoint="~/run$RUN", resume="${HOME}/run")  # type: ignore[arg-type]
    assert (config.data_dir, config.checkpoint, config.resume) == (
        tmp_path / "mnist",
        tmp_path / "run7",
        tmp_path / "run",
    )
