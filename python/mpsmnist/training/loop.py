"""The training loop: chunks of native steps, with evaluations and checkpoints in between."""

import contextlib
import functools
import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import Trainer, augment, devices
from ..data import Dataset, load
from ..errors import CheckpointError, Error
from ..fastest import fastest_device
from ..network import without_momentum
from ..user_files import expand_path
from ..wording import counted
from .chance import learned
from .checkpoint import Checkpoint, SavedWeights, check_target, fingerprint, load_weights
from .checkpoint import load as load_checkpoint
from .checkpoint import save as save_checkpoint
from .config import FASTEST, KEPT_FIELDS, ConfigError, TrainConfig, merge
from .events import (
    CheckpointEvent,
    CheckpointFailedEvent,
    EvaluationEvent,
    Event,
    StartEvent,
    StepEvent,
    TrainResult,
)
from .progress import ProgressBar
from .ranks import Ranks
from .sampling import Sampler, augmentation_seed
from .schedule import learning_rates
from .split import LabelledImages, nearly_black, split

# Steps run in native code in chunks of about this length: Python costs next to nothing, and Ctrl-C, like
# whoever else waits for the trainer, gets its turn soon.
CHUNK_SECONDS = 0.2
MAX_CHUNK = 100
# Images that are drawn and distorted before the steps on them, unless a batch has more: 13 MB.
MAX_DRAWN = 8192
# Whoever asks a run to stop waits no longer for an evaluation: so many images take some 20 ms.
EVALUATION_CHUNK = 256


class _ResultError(Error):
    """The end of a run that has a result all the same."""

    def __init__(self, message: str, result: TrainResult | None = None) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), self.args  # without the result: its trainer cannot be pickled


class DivergedError(_ResultError):
    """The loss or the weights are no longer finite numbers.

    `result` ends with the last finite loss, as that of an interrupted run; its trainer is past that.
    """


class UnsavedError(_ResultError, CheckpointError):
    """The run has ended, but could not be saved; `result` is what train() would have returned."""


class _StopAskedError(Exception):
    """The run was asked to stop in the middle of an evaluation."""


class _NotFiniteError(Exception):
    """An evaluation found a loss that is no finite number."""


def resumed_config(path: str | os.PathLike[str], **options: Any) -> TrainConfig:
    """Take the options of the checkpointed run, with `options` over them, to continue it.

    The run goes on saving to `path` unless `options` name another checkpoint.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ConfigError: the options make no sense, or would make it another run.
    """
    path = expand_path(path)
    saved = load_checkpoint(path)
    length = {} if saved.options["epochs"] is not None else {"steps": saved.total_steps}
    base = {**saved.options, **length, "dataset": saved.dataset, "checkpoint": path, "resume": path}
    if options.get("dataset") == "auto":
        options["dataset"] = saved.dataset
    config = TrainConfig(**merge(base, options))
    _check_resume(config, saved)
    return config


def train(
    config: TrainConfig,
    *,
    dataset: Dataset | None = None,
    on_step: Callable[[StepEvent], None] | None = None,
    on_event: Callable[[Event], None] | None = None,
    stop: Callable[[], bool] | None = None,
    progress: bool = False,
    curves: bool = False,
) -> TrainResult:
    """Train a network as `config` says.

    Steps run in native code in chunks of about CHUNK_SECONDS.

    Args:
        config: the options of the run.
        dataset: what to train on; by default the dataset that `config` names.
        on_step: gets every step, in order, after the chunk of steps that it belongs to.
        on_event: gets every other event when it happens; StartEvent has the trainer. By default, a checkpoint
            that could not be saved in the middle of the run is a RuntimeWarning.
        stop: asked before each chunk of steps, and of images in an evaluation, whether to end early; the
            checkpoint is then saved, and nothing more is evaluated.
        progress: show a bar, as `mpsmnist train` does on a terminal; in a notebook it is a widget.
        curves: evaluate about ten times, evenly, unless the options say how often. A checkpoint does not
            remember it: whoever resumes the run says so again.

    Raises:
        TypeError: `config` is no TrainConfig.
        ConfigError: the options do not fit each other, the data or the checkpoint. Nothing has been trained.
        DatasetError, DeviceError, CheckpointError: the data, the device or the checkpoint cannot be used.
        UnsavedError: a CheckpointError; the last save failed. It has the result.
        DivergedError: the loss is no longer finite. The last good checkpoint stays in place.
        Error: `distributed`, but there is no MPI, or the ranks' training sets or devices differ.
    """
    if not isinstance(config, TrainConfig):
        raise TypeError(f"config is a {type(config).__name__}, expected a TrainConfig")
    on_event = on_event or _warn_of_lost_saves
    ranks = _join_ranks() if config.distributed else Ranks()
    if progress and ranks.is_first:
        with ProgressBar() as bar:
            return train(
                config,
                dataset=dataset,
                on_step=_each(bar, on_step),
                on_event=_each(bar, on_event),
                stop=stop,
                curves=curves,
            )
    config = ranks.agree_on(config)
    curves = ranks.from_first(curves)
    saved = None if config.resume is None else load_checkpoint(config.resume)
    if saved is not None:
        _check_resume(config, saved)
    source = None if config.init_from is None else load_weights(config.init_from)
    check_ahead(config)
    if dataset is None:
        dataset = load(config.dataset, **config.data_options)
    if saved is not None:
        _check_resumed_data(config, saved, dataset)
    if source is not None:
        _check_source(config, source, dataset)
    run = _Run(
        config,
        dataset,
        ranks=ranks,
        on_step=on_step or _ignore,
        on_event=on_event,
        stop=stop or _never,
        curves=curves,
    )
    if saved is not None:
        run.continue_from(saved)
    if source is not None:
        run.begin_with(source)
    run.join()
    return run.train()


def _join_ranks() -> Ranks:
    from .mpi import connect  # noqa: PLC0415 (it needs mpi4py)

    return connect()


def check_ahead(config: TrainConfig) -> None:
    """Check what needs no data: that there is the device, and that the run may save to its `checkpoint`.

    Raises:
        ConfigError: as of check_target().
        DeviceError: the device is not available here.
    """
    if config.device not in ("auto", FASTEST, *devices()):
        Trainer(device=config.device)  # which says why
    check_target(config)


class _Run:
    """One call of train(): its trainer, and what has happened so far."""

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        *,
        ranks: Ranks,
        on_step: Callable[[StepEvent], None],
        on_event: Callable[[Event], None],
        stop: Callable[[], bool],
        curves: bool,
    ) -> None:
        self._config = config
        self._dataset = dataset
        self._ranks = ranks
        self._on_step = on_step
        self._on_event = on_event
        self._stop = stop
        self._interrupted = False
        if ranks.size > 1:
            self._check_same_data()
        device = config.device
        if device == FASTEST:
            each = max(1, config.batch_size // ranks.size)
            device = ranks.from_first(fastest_device(each, threads=config.threads))
        self._trainer = Trainer(
            device=device,
            learning_rate=config.learning_rate,
            momentum=config.momentum,
            num_classes=dataset.num_classes,
            seed=config.seed,
            init=config.init,
            threads=config.threads,
        )
        ranks.check_same("device", self._trainer.device)
        self._check_batch_size()
        size = config.train_images(len(dataset.train_images))
        self._split = split(dataset, config.validation, config.seed)
        self._sampler = Sampler(config.sampling, size=size, batch_size=config.batch_size, seed=config.seed)
        self._total_steps = config.total_steps(size)
        self._evaluate_at = config.evaluation_plan(size, curves=curves)
        self._step = 0
        self._last = StepEvent(0, math.nan, config.learning_rate)
        self._saved_step: int | None = None
        self._chunk = 1
        self._longest_chunk = MAX_CHUNK
        if config.augmentation != "none":
            self._longest_chunk = max(1, min(MAX_CHUNK, MAX_DRAWN // config.batch_size))
        self._seconds = 0.0
        self._losses: list[NDArray[np.float32]] = []
        self._evaluations: list[EvaluationEvent] = []

    def _check_same_data(self) -> None:
        """Raise Error unless all ranks have the same training set.

        It comes first: what fails on one rank alone leaves the others waiting for it.
        """
        self._ranks.check_same("the number of classes", str(self._dataset.num_classes))
        self._ranks.check_same("the training images' checksum", self._fingerprint)

    def _check_batch_size(self) -> None:
        """Raise ConfigError if the device takes no batches so large: it is asked to run none of them."""
        none = np.empty((0, self._config.batch_size), np.int64)
        try:
            self._trainer.run(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.uint8), none)
        except ValueError as error:
            raise ConfigError(f"batch_size is {self._config.batch_size}: {error}") from error

    def continue_from(self, saved: Checkpoint) -> None:
        self._trainer.load_state_dict(saved.state)
        self._step = saved.step

    def begin_with(self, source: SavedWeights) -> None:
        """Take the weights of another run; the momentum, if there is any, begins at zero."""
        self._trainer.load_state_dict(without_momentum(source.state))

    def join(self) -> None:
        """Begin as rank 0 does."""
        self._ranks.begin_alike(self._trainer)
        self._step = self._ranks.from_first(self._step)

    def train(self) -> TrainResult:
        trainer = self._trainer
        self._on_event(
            StartEvent(
                step=self._step,
                total_steps=self._total_steps,
                device=trainer.device,
                threads=trainer.threads,
                ranks=self._ranks.size,
                dataset=self._dataset,
                config=self._config,
                trainer=trainer,
                checkpoint=self._checkpoint,
            )
        )
        save_every = self._config.checkpoint_every
        if self._step in self._evaluate_at:
            self._evaluate()  # a resumed run may have been stopped in this evaluation, or by what it finds
        while (count := self._next_count()) > 0:
            self._advance(count)
            if save_every is not None and self._step % save_every == 0:
                self._save_on_the_way()
            if self._step in self._evaluate_at:
                self._evaluate()
        if self._saved_step != self._step:
            try:
                self._save()
            except CheckpointError as error:
                raise UnsavedError(str(error), self._result()) from error
        return self._result()

    def _next_count(self) -> int:
        """Return how many steps come before something else is done; 0 when the run has ended."""
        if self._step >= self._total_steps or self._target_reached():
            return 0
        self._interrupted = self._ranks.any(self._asked_to_stop())
        if self._interrupted:
            return 0
        return self._ranks.from_first(min(self._chunk, self._next_halt() - self._step))

    def _asked_to_stop(self) -> bool:
        self._interrupted = self._interrupted or self._stop()
        return self._interrupted

    def _next_halt(self) -> int:
        """Return the next step after which there is something to do; the last step is always one."""
        halts = [self._evaluate_at.next_after(self._step)]
        if (every := self._config.checkpoint_every) is not None:
            halts.append((self._step // every + 1) * every)
        return min(halts)

    def _advance(self, count: int) -> None:
        """Train `count` steps and report them."""
        config = self._config
        begin = time.perf_counter()
        batches = self._sampler.batches(self._step, count)
        rates = learning_rates(
            config.schedule, config.learning_rate, first=self._step, count=count, total=self._total_steps
        )
        examples = self._split.train
        share = self._ranks.share(config.batch_size)
        batches = batches[:, share]
        if config.augmentation == "distort":
            examples, batches = self._distort(batches, share.start)
        losses = self._ranks.run(self._trainer, examples, batches, rates, config.batch_size)
        seconds = time.perf_counter() - begin
        self._seconds += seconds
        self._chunk = max(1, min(self._longest_chunk, int(count * CHUNK_SECONDS / max(seconds, 1e-9))))
        good = int(np.logical_and.accumulate(np.isfinite(losses)).sum())
        self._losses.append(losses[:good])
        for loss, rate in zip(losses[:good].tolist(), rates.tolist(), strict=False):
            self._step += 1
            self._last = StepEvent(self._step, loss, rate)
            self._on_step(self._last)
        if good < count:
            self._last = StepEvent(self._step + 1, float(losses[good]), float(rates[good]))
            raise self._diverged()

    def _distort(self, batches: NDArray[np.int64], offset: int) -> tuple[LabelledImages, NDArray[np.int64]]:
        """Return the images of the next batches, each distorted anew, and those batches as rows of them.

        The batches (k, n) are a share of the whole ones, from `offset` on. How an image is distorted depends
        on its place in the run alone, whatever rank has it.
        """
        drawn = batches.ravel()
        size = self._config.batch_size
        # Places in the run are consecutive within a share, and from one whole batch to the next.
        consecutive = batches if batches.shape[1] < size else [drawn]
        parts = [
            augment(
                self._split.train.images[places],
                seed=augmentation_seed(self._config.seed),
                first=(self._step + step) * size + offset,
                threads=self._config.threads,
            )
            for step, places in enumerate(consecutive)
        ]
        images = parts[0] if len(parts) == 1 else np.concatenate(parts)
        images[nearly_black(images)] = 0  # what distortion leaves of a faint image: see split()
        rows = np.arange(drawn.size).reshape(batches.shape)
        return LabelledImages(images, self._split.train.labels[drawn]), rows

    def _evaluate(self) -> None:
        found: EvaluationEvent | _NotFiniteError | None = None
        if self._ranks.is_first:
            try:
                with contextlib.suppress(_StopAskedError):
                    found = self._measure_all()
            except _NotFiniteError as error:
                found = error
        event = self._ranks.from_first(found)
        if isinstance(event, _NotFiniteError):
            raise self._diverged(f"; {event}")
        if event is None:
            self._interrupted = True
            return
        self._evaluations.append(event)
        self._on_event(event)

    def _measure_all(self) -> EvaluationEvent:
        """Measure what is due: the test images of a run with held-out ones only when it ends."""
        images, step = self._split, self._step
        train = images.train_sample if self._evaluate_at.ends_epoch(step) else None
        train_loss, train_accuracy = self._measure("training", train)
        validation_loss, validation_accuracy = self._measure("validation", images.validation)
        ends = step == self._total_steps or self._is_enough(validation_accuracy)
        loss, accuracy = self._measure("test", images.test if images.validation is None or ends else None)
        return EvaluationEvent(
            step=step,
            loss=loss,
            accuracy=accuracy,
            train_seconds=self._seconds,
            epoch=self._epoch(),
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
        )

    def _epoch(self) -> float | None:
        """Return the epochs done; the last step of a run may take in images past its end."""
        if self._config.epochs is None:
            return None
        return min(self._step * self._config.batch_size / len(self._split.train.images), self._config.epochs)

    def _measure(self, name: str, images: LabelledImages | None) -> tuple[float | None, float | None]:
        """Return the loss and accuracy on the images, if there are any."""
        if images is None:
            return None, None
        loss, correct, total = 0.0, 0, len(images.labels)
        for first in range(0, total, EVALUATION_CHUNK):
            if self._asked_to_stop():
                raise _StopAskedError
            part = self._trainer.evaluate(*(array[first : first + EVALUATION_CHUNK] for array in images))
            loss += (part.loss - loss) * (part.total / (first + part.total))  # the mean so far
            correct += part.correct
        if not np.isfinite(loss):
            raise _NotFiniteError(f"the {name} loss after it is {loss}")
        return loss, correct / total

    def _target_reached(self) -> bool:
        if not self._evaluations:
            return False
        last = self._evaluations[-1]
        return self._is_enough(last.accuracy if self._split.validation is None else last.validation_accuracy)

    def _is_enough(self, accuracy: float | None) -> bool:
        target = self._config.target_accuracy
        return target is not None and accuracy is not None and accuracy >= target

    def _save_on_the_way(self) -> None:
        """Save the checkpoint if that is possible: there may be room for it again at the end."""
        try:
            self._save()
        except CheckpointError as error:
            assert self._config.checkpoint is not None
            self._on_event(CheckpointFailedEvent(self._step, self._config.checkpoint, str(error)))

    def _save(self) -> None:
        """Save the checkpoint, if one was asked for. Weights that are not finite never replace a good one."""
        config = self._config
        if config.checkpoint is None:
            return
        checkpoint = self._checkpoint()
        if not all(np.isfinite(tensor).all() for tensor in checkpoint.state.values()):
            raise self._diverged("; the weights after it are not finite")
        save_checkpoint(config.checkpoint, checkpoint)
        self._saved_step = self._step
        self._on_event(CheckpointEvent(self._step, config.checkpoint))

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            state=self._trainer.state_dict(),
            options=self._config.saved_options(),
            step=self._step,
            total_steps=self._total_steps,
            classes=tuple(self._dataset.classes),
            dataset=self._dataset.name,
            fingerprint=self._fingerprint,
            familiarity=self._familiarity,
        )

    @functools.cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self._dataset.train_images, self._dataset.train_labels)

    @functools.cached_property
    def _familiarity(self) -> dict[str, NDArray[Any]] | None:
        """What predictions need of the training images to tell what is unlike them; a second, once."""
        from .familiarity import learn  # noqa: PLC0415 (it imports SciPy)

        found = learn(*self._split.train)
        return None if found is None else found._asdict()

    def _diverged(self, more: str = "") -> DivergedError:
        step, loss, rate = self._last
        self._interrupted = True
        return DivergedError(
            f"training diverged at step {step}: its loss is {loss:g} at learning rate {rate:g}{more}",
            self._result(),
        )

    def _result(self) -> TrainResult:
        losses = np.concatenate(self._losses) if self._losses else np.empty(0, np.float32)
        final = None if self._interrupted else self._evaluations[-1]
        return TrainResult(
            steps=self._step,
            loss=float(losses[-1]) if losses.size else None,
            test_accuracy=None if final is None else final.accuracy,
            test_loss=None if final is None else final.loss,
            validation_accuracy=None if final is None else final.validation_accuracy,
            validation_loss=None if final is None else final.validation_loss,
            train_accuracy=None if final is None else final.train_accuracy,
            train_loss=None if final is None else final.train_loss,
            learned=None if final is None else self._learned(final),
            device=self._trainer.device,
            dataset=self._dataset.name,
            seed=self._config.seed,
            train_seconds=self._seconds,
            steps_per_second=losses.size / self._seconds if losses.size else None,
            interrupted=self._interrupted,
            target_reached=None if self._config.target_accuracy is None else self._target_reached(),
            losses=losses,
            evaluations=self._evaluations,
            trainer=self._trainer,
        )

    def _learned(self, final: EvaluationEvent) -> bool | None:
        assert final.accuracy is not None and final.loss is not None  # noqa: PT018 (the run has ended)
        return learned(self._step, final.accuracy, final.loss, self._dataset.test_labels)


# What to do instead of a resumption that cannot be.
_NEW_RUN = "`init_from` starts a new run from its weights"


def _check_resume(config: TrainConfig, saved: Checkpoint) -> None:
    path = str(config.resume)
    for name in KEPT_FIELDS:
        asked, had = getattr(config, name), saved.options[name]
        if asked != had:
            raise ConfigError(
                f"{name} is {_shown(asked)}, but the run in {path!r} has {_shown(had)}: "
                f"a resumed run keeps it, {_NEW_RUN}"
            )
    if config.dataset not in ("auto", saved.dataset):
        raise ConfigError(
            f"dataset is {config.dataset!r}, but the run in {path!r} trains on {saved.dataset!r}"
        )


def _check_resumed_data(config: TrainConfig, saved: Checkpoint, dataset: Dataset) -> None:
    path = str(config.resume)
    if fingerprint(dataset.train_images, dataset.train_labels) != saved.fingerprint:
        raise ConfigError(f"the training set is not the one that the run in {path!r} was trained on")
    if (difference := _other_classes(dataset.classes, saved.classes)) is not None:
        raise ConfigError(f"{difference} in the run in {path!r}; {_NEW_RUN}")
    total_steps = config.total_steps(config.train_images(len(dataset.train_images)))
    if config.schedule != "constant" and total_steps != saved.total_steps:
        raise ConfigError(
            f"the run in {path!r} has {saved.total_steps} steps, not {total_steps}: "
            f"its {config.schedule} schedule depends on their number; {_NEW_RUN}"
        )
    if total_steps < saved.step:
        length = f"steps is {total_steps}"
        if config.epochs is not None:
            length = f"epochs is {config.epochs:g}, or {counted(total_steps, 'step')}"
        raise ConfigError(
            f"{length}, but the run in {path!r} is at step {saved.step} already: "
            f"give the length from the very beginning; {_NEW_RUN}"
        )


def _other_classes(classes: Sequence[str], saved: Sequence[str]) -> str | None:
    """Say what differs between a dataset's classes and those of a saved run, None if nothing does."""
    if len(classes) != len(saved):
        return f"the dataset has {len(classes)} classes, but there are {len(saved)}"
    for number, (name, saved_name) in enumerate(zip(classes, saved, strict=True)):
        if name != saved_name:
            return f"class {number} of the dataset is {name!r}, but {saved_name!r}"
    return None


def _shown(value: object) -> str:
    return "none" if value is None else repr(value)


def _each(bar: ProgressBar, callback: Callable[[Any], None] | None) -> Callable[[Any], None]:
    def tell(event: StepEvent | Event) -> None:
        bar(event)
        if callback is not None:
            callback(event)

    return tell


def _check_source(config: TrainConfig, source: SavedWeights, dataset: Dataset) -> None:
    if source.num_classes != dataset.num_classes:
        raise ConfigError(
            f"init_from is {str(config.init_from)!r}, whose network has {source.num_classes} classes, "
            f"but {dataset.name!r} has {dataset.num_classes}"
        )


def _ignore(_event: object) -> None:
    pass


def _warn_of_lost_saves(event: Event) -> None:
    if isinstance(event, CheckpointFailedEvent):
        warnings.warn(event.warning(), RuntimeWarning, stacklevel=5)


def _never() -> bool:
    return False
