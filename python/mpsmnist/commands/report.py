"""How a training run is reported: JSON lines for programs on stdout, text for people on stderr."""

import json
import sys

from tqdm import tqdm

from ..training.events import CheckpointEvent, EvaluationEvent, Event, StartEvent, StepEvent, TrainResult
from ..training.progress import ProgressBar
from ..wording import counted
from .streams import print_line

Report = StepEvent | Event | TrainResult


class JsonReporter:
    """Prints each event as a line of JSON. A run that fails halfway or is interrupted has no "end" line.

    After a line that stdout does not take, `error` says why, and no more are printed: the run goes on.
    """

    def __init__(self) -> None:
        self.error: OSError | None = None

    def __call__(self, event: Report) -> None:
        """Print the event."""
        if self.error is None:
            try:
                print_line(json.dumps(event.as_json(), allow_nan=False))
            except OSError as error:
                self.error = error


class TextReporter:
    """Reports to people on stderr: a progress bar on a terminal, a line per tenth of the run elsewhere."""

    def __init__(self) -> None:
        self._total_steps = 0
        self._epochs = ""
        self._bar = ProgressBar(leave=False) if sys.stderr.isatty() else None

    def __enter__(self) -> "TextReporter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, event: Report) -> None:
        """Print what a person wants to know of the event."""
        if self._bar is not None and not isinstance(event, TrainResult):
            self._bar(event)
        match event:
            case StartEvent():
                self._start(event)
            case StepEvent():
                self._step(event)
            case EvaluationEvent():
                say(self._evaluation(event))
            case CheckpointEvent():
                say(f"step {event.step}: saved to {event.path}")
            case TrainResult():
                say(_summary(event))

    def _start(self, event: StartEvent) -> None:
        config, dataset, self._total_steps = event.config, event.dataset, event.total_steps
        if config.epochs is not None:
            self._epochs = f" of {config.epochs:g}"
        device = f"cpu with {counted(event.threads, 'thread')}" if event.device == "cpu" else event.device
        if event.ranks > 1:
            device = f"{event.ranks} ranks, each on {device}"
        distorted = "" if config.augmentation == "none" else ", distorted at random"
        held_out = "" if config.validation is None else f", {counted(config.validation, 'validation image')}"
        say(
            f"{dataset.name}: {counted(event.train_images, 'training image')}{held_out} and "
            f"{counted(len(dataset.test_images), 'test image')} of {dataset.num_classes} "
            f"class{'es' * (dataset.num_classes != 1)}"
        )
        if event.step >= event.total_steps:
            say(_what_next(event))
            return
        say(
            f"steps {event.step + 1} to {event.total_steps}, {counted(config.batch_size, 'image')} each"
            f"{distorted}, on {device}; "
            f"{config.schedule} learning rate {config.learning_rate:g}, momentum {config.momentum:g}, "
            f"seed {config.seed}"
        )

    def _step(self, event: StepEvent) -> None:
        if self._bar is not None:
            return
        if event.step * 10 // self._total_steps > (event.step - 1) * 10 // self._total_steps:
            say(f"step {event.step} of {self._total_steps}: loss {event.loss:.4f}")

    def _evaluation(self, event: EvaluationEvent) -> str:
        """Name the epoch in a run that is counted in them, and only what was measured."""
        when = (
            f"step {event.step}" if event.epoch is None else f"epoch {round(event.epoch, 2):g}{self._epochs}"
        )
        told = [f"{name} accuracy {accuracy:.2%}" for name, accuracy in event.accuracies().items()]
        told += [
            f"{name} loss {loss:.4f}"
            for name, loss in (("validation", event.validation_loss), ("test", event.loss))
            if loss is not None
        ]
        return f"{when}: {', '.join(told)}"


def _what_next(event: StartEvent) -> str:
    """Say what to do with a run that was resumed when it was finished."""
    longer = f"--steps {2 * event.step} continues it, "
    if event.config.schedule != "constant":
        longer = f"its {event.config.schedule} learning rate ends there, "
    return f"the run is finished at step {event.step}: {longer}--init-from starts a new run from its weights"


def _summary(result: TrainResult) -> str:
    speed = "" if result.steps_per_second is None else f", {result.steps_per_second:.1f} steps/s"
    ended = "done, at chance level" if result.learned is False else "done"
    return (
        f"{ended}: test accuracy {result.test_accuracy:.2%} after {counted(result.steps, 'step')}, "
        f"trained in {result.train_seconds:.2f} s{speed}"
    )


def say(text: str) -> None:
    """Print a line to stderr."""
    tqdm.write(text, file=sys.stderr)  # unlike print, it makes way for the bar
