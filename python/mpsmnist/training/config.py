"""The options of a training run: what they are, their presets, and which of them make sense."""

import dataclasses
import math
import operator
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from .._core import DEVICES
from ..data import MAX_CLASSES
from ..files import rehearse_write, resolve
from ..user_files import expand_path, reason_of
from .sampling import SAMPLINGS, Sampling
from .schedule import SCHEDULES, EvaluationPlan, Schedule, plan_evaluations

Augmentation = Literal["none", "distort"]
AUGMENTATIONS: tuple[str, ...] = get_args(Augmentation)
Init = Literal["uniform", "he"]
INITS: tuple[str, ...] = get_args(Init)
DEVICE_CHOICES = ("auto", *DEVICES)
FASTEST = "fastest"  # whichever fastest_device() finds
DEFAULT_STEPS = 300
MAX_STEPS = 2**31 - 1
MAX_BATCH_SIZE = 2**20  # tens of gigabytes on any device
MAX_THREADS = 1024  # the core's limit

# How a run trains: what presets set (but for the seed) and events tell.
RECIPE_FIELDS = (
    "batch_size",
    "learning_rate",
    "momentum",
    "init",
    "schedule",
    "sampling",
    "augmentation",
    "seed",
)
# What a resumed run must not change, or it would not be the same run.
KEPT_FIELDS = (*RECIPE_FIELDS, "validation")
# What else a checkpoint remembers. Paths and threads belong to a machine, not to a run.
SAVED_FIELDS = (
    *KEPT_FIELDS,
    "epochs",
    "num_classes",
    "resize",
    "device",
    "eval_every",
    "target_accuracy",
    "checkpoint_every",
)
# Those of them that older checkpoints lack, and what they stand for there.
ADDED_OPTIONS: dict[str, Any] = {
    "validation": None,
    "epochs": None,
    "augmentation": "none",
    "num_classes": None,
    "resize": False,
}


class ConfigError(ValueError):
    """Options that make no sense, alone, together, or for the checkpoint to be resumed.

    The message begins with the option's name, so that the command line can name it in its own way.
    """


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The options of a run. The defaults are those of the original sample. Bad values raise ConfigError.

    `steps` is the length of the run from its very beginning, also when it is resumed; `epochs` gives it as
    passes over the training images instead, rounded up to whole steps. With neither, a run has 300 steps.
    With `epochs` each of them is evaluated, by test images and by TRAIN_SAMPLE (10,000) training images; of
    more than ten, and without `eval_every`, each second, third and so on, so that there are about ten.

    `augmentation` is what each training image goes through each time that it is drawn: "distort" is
    mpsmnist.augment() with its default strengths.

    `validation` holds so many training images out: nothing is trained on them, and evaluations and
    `target_accuracy` go by them instead of the test images, which are seen once, at the end of the run.

    `device` is a Trainer's, or "fastest": the one that mpsmnist.fastest_device() finds for the batch size.

    `dataset`, `data_dir`, `offline`, `num_classes` and `resize` are those of mpsmnist.data.load().
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 16
    learning_rate: float = 0.01  # the peak, when the schedule is "one-cycle"
    momentum: float = 0.0
    init: Init = "uniform"
    schedule: Schedule = "constant"
    sampling: Sampling = "replacement"
    augmentation: Augmentation = "none"
    seed: int = 0
    dataset: str = "auto"
    data_dir: Path | None = None
    offline: bool | None = None
    num_classes: int | None = None
    resize: bool = False
    device: str = "auto"
    threads: int | None = None
    distributed: bool = False  # whether mpirun has started several processes that train one network
    validation: int | None = None
    eval_every: int | None = None  # steps, counted from the beginning of the epoch if there are `epochs`
    target_accuracy: float | None = None  # 0.99 ends the run as soon as an evaluation reaches 99%
    checkpoint: Path | None = None
    checkpoint_every: int | None = None
    overwrite: bool = False  # whether `checkpoint` may be a file that exists and is not the one of `resume`
    resume: Path | None = None
    init_from: Path | None = None  # a checkpoint whose weights a new run begins with

    def __post_init__(self) -> None:
        for name in ("steps", "validation", "eval_every", "checkpoint_every"):
            self._integer(name, 1, MAX_STEPS)
        self._integer("batch_size", 1, MAX_BATCH_SIZE)
        self._integer("threads", 1, MAX_THREADS)
        self._integer("num_classes", 1, MAX_CLASSES)
        self._integer("seed", 0, 2**64 - 1)
        self._number("epochs", lambda x: x > 0, "above 0")
        self._number("learning_rate", lambda x: 0 < _float32(x) < math.inf, "above 0 and finite as a float32")
        self._number("momentum", lambda x: x >= 0 and _float32(x) < 1, "at least 0 and below 1 as a float32")
        self._number("target_accuracy", lambda x: 0 < x <= 1, "above 0 and at most 1")
        for name, choices in (
            ("init", INITS),
            ("schedule", SCHEDULES),
            ("sampling", SAMPLINGS),
            ("augmentation", AUGMENTATIONS),
            ("device", (*DEVICE_CHOICES, FASTEST)),
        ):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(choices)}")
        if not isinstance(self.dataset, str):
            raise ConfigError(f"dataset is {self.dataset!r}, expected a name")
        for name in ("resize", "overwrite", "distributed"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r}, expected True or False")
        for name in ("data_dir", "checkpoint", "resume", "init_from"):
            self._path(name)
        if self.steps is not None and self.epochs is not None:
            raise ConfigError(f"steps is {self.steps}, but epochs is {self.epochs:g}: give one of them")
        if self.checkpoint_every is not None and self.checkpoint is None:
            raise ConfigError("checkpoint_every needs a checkpoint path to save to")
        if self.overwrite and self.checkpoint is None:
            raise ConfigError("overwrite needs a `checkpoint` path that may be replaced")
        if self.resume is not None and self.init_from is not None:
            raise ConfigError(
                f"init_from is {str(self.init_from)!r}, but `resume` is {str(self.resume)!r}: "
                "give one of them"
            )

    @classmethod
    def preset(cls, name: str, **options: Any) -> "TrainConfig":
        """Take the preset's options, with `options` over them. Raises ConfigError for an unknown name."""
        return cls(**merge(preset_options(name), options))

    @property
    def data_options(self) -> dict[str, Any]:
        """What mpsmnist.data.load() takes beside the name."""
        return {name: getattr(self, name) for name in ("data_dir", "offline", "num_classes", "resize")}

    def train_images(self, available: int) -> int:
        """Return how many of the dataset's training images are trained on. Raises ConfigError for none."""
        count = available - (self.validation or 0)
        if count < 1:
            raise ConfigError(
                f"validation is {self.validation}, expected fewer than the {available} training images"
            )
        return count

    def total_steps(self, train_images: int) -> int:
        """Return how many steps the run has on so many training images, those held out excluded.

        Raises:
            ConfigError: there are more than MAX_STEPS.
        """
        if self.epochs is not None:
            steps = self.epochs * train_images / self.batch_size
            if steps > MAX_STEPS:
                raise ConfigError(
                    f"epochs is {self.epochs:g}, which is {steps:.3g} steps of {self.batch_size} images, "
                    f"expected at most {MAX_STEPS}"
                )
            return max(1, math.ceil(steps))
        return DEFAULT_STEPS if self.steps is None else self.steps

    def evaluation_plan(self, train_images: int, *, curves: bool = False) -> EvaluationPlan:
        """Return after which steps a run on so many training images is evaluated; `curves`: see train()."""
        return plan_evaluations(
            self.schedule,
            self.total_steps(train_images),
            self.eval_every,
            epoch=None if self.epochs is None else Fraction(train_images, self.batch_size),
            has_target=self.target_accuracy is not None,
            curves=curves,
        )

    def saved_options(self) -> dict[str, Any]:
        """Return what a checkpoint remembers of these options, ready for JSON."""
        return {name: getattr(self, name) for name in SAVED_FIELDS}

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the class is frozen; this runs only while it is built

    def _integer(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if value is None and _is_optional(name):
            return
        try:
            number = None if isinstance(value, bool) else operator.index(value)
        except TypeError:
            number = None
        if number is None or not low <= number <= high:
            raise ConfigError(f"{name} is {value!r}, expected a whole number from {low} to {high}")
        self._set(name, number)

    def _number(self, name: str, accept: Callable[[float], bool], expected: str) -> None:
        value = getattr(self, name)
        if value is None and _is_optional(name):
            return
        try:
            number = math.nan if isinstance(value, bool | str) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not (math.isfinite(number) and accept(number)):
            raise ConfigError(f"{name} is {value!r}, expected a number {expected}")
        self._set(name, number)

    def _path(self, name: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if not isinstance(value, str | os.PathLike):
            raise ConfigError(f"{name} is {value!r}, expected a path")
        self._set(name, expand_path(value))


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TrainConfig)}

PRESETS: dict[str, dict[str, Any]] = {
    "original": {name: _DEFAULTS[name] for name in RECIPE_FIELDS if name != "seed"},
    "fast": {
        "epochs": 1.0,
        "batch_size": 64,
        "learning_rate": 0.12,
        "momentum": 0.9,
        "init": "he",
        "schedule": "one-cycle",
        "sampling": "shuffle",
        "augmentation": "none",
    },
    "accurate": {
        "epochs": 20.0,
        "batch_size": 64,
        "learning_rate": 0.03,
        "momentum": 0.9,
        "init": "he",
        "schedule": "one-cycle",
        "sampling": "shuffle",
        "augmentation": "distort",
    },
}


def preset_options(name: str) -> dict[str, Any]:
    """Return the options that the preset sets. Raises ConfigError for an unknown name."""
    if name not in PRESETS:
        raise ConfigError(f"preset is {name!r}, expected one of {', '.join(PRESETS)}")
    return dict(PRESETS[name])


def merge(base: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Put `options` over `base`; a length given as steps replaces one given as epochs, and vice versa."""
    merged = {**base, **options}
    if options.get("steps") is not None and "epochs" not in options:
        merged["epochs"] = None
    if options.get("epochs") is not None and "steps" not in options:
        merged["steps"] = None
    return merged


def check_output(option: str, path: Path, size: int = 0) -> None:
    """Check that `path` can be written, before time is spent on its `size` bytes. Raises ConfigError."""
    try:
        problem = _find_problem(path, size)
    except OSError as error:
        problem = f"which cannot be written: {reason_of(error)}"
    except ValueError as error:  # a null character
        problem = f"which is no file name: {error}"
    if problem is not None:
        raise ConfigError(f"{option} is {str(path)!r}, {problem}")


def _find_problem(path: Path, size: int) -> str | None:
    if path.is_dir():
        return "which is a folder, expected a file name"
    target = resolve(path)
    folder = target.parent
    if not folder.is_dir():
        return f"but there is no folder {str(folder)!r}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"but the folder {str(folder)!r} cannot be written to"
    rehearse_write(target, size)
    return None


def _float32(number: float) -> float:
    """Round as the core does: what overflows becomes infinite."""
    with np.errstate(over="ignore"):
        return float(np.float32(number))


def _is_optional(name: str) -> bool:
    return _DEFAULTS[name] is None
