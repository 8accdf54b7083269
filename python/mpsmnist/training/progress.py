"""The progress bar of a run: a widget in a notebook, a line of text on stderr elsewhere."""

import sys
import warnings
from typing import Any

from .events import EvaluationEvent, Event, StartEvent, StepEvent


class ProgressBar:
    """Shows the steps of a run, the latest loss and the latest accuracies; give it every event of train().

    A stderr that is closed, full or not read any more ends the bar, never the run.
    """

    def __init__(self, *, leave: bool = True) -> None:
        """Make a bar that appears with the StartEvent; `leave`: it stays when it is closed."""
        self._leave = leave
        self._bar: Any = None
        self._loss = ""
        self._accuracies = ""

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away, or leave it as it is."""
        if self._bar is not None:
            try:
                self._bar.close()
            except OSError:
                self._give_up()

    def __call__(self, event: StepEvent | Event) -> None:
        """Show what is new."""
        try:
            self._show(event)
        except OSError:
            self._give_up()

    def _show(self, event: StepEvent | Event) -> None:
        if isinstance(event, StartEvent):
            self._start(event)
        elif self._bar is None:
            return
        elif isinstance(event, StepEvent):
            self._loss = f"loss {event.loss:.4f}"
            self._bar.set_postfix_str(self._loss + self._accuracies, refresh=False)
            self._bar.update()
        elif isinstance(event, EvaluationEvent):
            shares = event.accuracies().items()
            self._accuracies = "".join(f", {name} accuracy {share:.2%}" for name, share in shares)
            self._bar.set_postfix_str(self._loss + self._accuracies)

    def _start(self, event: StartEvent) -> None:
        from tqdm import TqdmWarning  # noqa: PLC0415 (it takes long to import, and only bars need it)

        with warnings.catch_warnings():  # in a notebook without ipywidgets, of its line of text
            warnings.simplefilter("ignore", TqdmWarning)
            from tqdm.auto import tqdm  # noqa: PLC0415

        if sys.stderr is not None:
            self._bar = tqdm(
                total=event.total_steps,
                initial=event.step,
                unit="step",
                leave=self._leave,
                dynamic_ncols=True,
            )

    def _give_up(self) -> None:
        if self._bar is not None:
            self._bar.disable = True  # or it would try again when it is collected
            self._bar = None
