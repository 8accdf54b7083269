"""How a training run is reported: JSON lines for programs on stdout, text for people on stderr."""

import json
import sys
from typing import Any

from tqdm import tqdm

from ..training.events import CheckpointEvent, EvaluationEvent, Event, StartEvent, StepEvent, TrainResult

Report = StepEvent | Event | TrainResult


def print_json(event: Report) -> None:
    """Print an event as a line of JSON. A run that fails halfway or is interrupted has no "end" line."""
    print(json.dumps(event.as_json(), allow_nan=False), flush=True)


class TextReporter:
    """Reports to people on stderr: a progress bar on a terminal, a line per tenth of the run elsewhere."""

    def __init__(self) -> None:
        self._total_steps = 0
        self._bar: Any = None

    def __enter__(self) -> "TextReporter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, event: Report) -> None:
        """Print what a person wants to know of the event."""
        match event:
            case StartEvent():
                self._start(event)
            case StepEvent():
                self._step(event)
            case EvaluationEvent():
                _say(f"step {event.step}: test accuracy {event.accuracy:.2%}, test loss {event.loss:.4f}")
            case CheckpointEvent():
                _say(f"step {event.step}: saved to {event.path}")
            case TrainResult():
                _say(_summary(event))

    def _start(self, event: StartEvent) -> None:
        config, dataset, self._total_steps = event.config, event.dataset, event.total_steps
        device = (
            f"cpu with {event.threads} thread{'s' if event.threads > 1 else ''}"
            if event.device == "cpu"
            else event.device
        )
        _say(
            f"{dataset.name}: {len(dataset.train_images)} training and {len(dataset.test_images)} test images"
        )
        if event.step >= event.total_steps:
            _say(_what_next(event))
            return
        _say(
            f"steps {event.step + 1} to {event.total_steps}, {config.batch_size} images each, on {device}; "
            f"{config.schedule} learning rate {config.learning_rate:g}, momentum {config.momentum:g}, "
            f"seed {config.seed}"
        )
        if sys.stderr.isatty():
            self._bar = tqdm(total=event.total_steps, initial=event.step, unit="step", leave=False)

    def _step(self, event: StepEvent) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {event.loss:.4f}", refresh=False)
            self._bar.update()
        elif event.step * 10 // self._total_steps > (event.step - 1) * 10 // self._total_steps:
            _say(f"step {event.step} of {self._total_steps}: loss {event.loss:.4f}")


def _what_next(event: StartEvent) -> str:
    """Say what to do with a run that was resumed when it was finished."""
    longer = f"--steps {2 * event.step} continues it, "
    if event.config.schedule != "constant":
        longer = f"its {event.config.schedule} learning rate ends there, "
    return f"the run is finished at step {event.step}: {longer}--init-from starts a new run from its weights"


def _summary(result: TrainResult) -> str:
    speed = "" if result.steps_per_second is None else f", {result.steps_per_second:.1f} steps/s"
    return (
        f"done: test accuracy {result.test_accuracy:.2%} after {result.steps} steps, "
        f"trained in {result.train_seconds:.2f} s{speed}"
    )


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)  # unlike print, it makes way for the bar
