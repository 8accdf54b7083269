"""A training run in a thread of its own, which other threads watch, pause, stop and ask for things."""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..errors import Error
from ..training.config import ConfigError, TrainConfig
from ..training.events import CheckpointFailedEvent, EvaluationEvent, Event, StartEvent, StepEvent
from ..training.familiarity import Familiarity, familiarity_of
from ..training.loop import train

T = TypeVar("T")
P = ParamSpec("P")
State = Literal["loading", "running", "paused", "stopped", "finished", "failed"]

RATE_SECONDS = 2.0  # steps per second are those of the last so many seconds
_LEARNING = threading.Lock()  # a familiarity takes a second of a processor: one at a time


class Run:
    """One call of train() in a thread.

    Attributes:
        losses: of each step so far, only ever appended to.
        evaluations: so far, only ever appended to.
        start: what the run began with; None while its data is being loaded.
        error: why the run failed, None if it has not.
        warning: what is wrong although the run goes on, None if nothing is.
        first_filters: conv0's weights before the first step, (5, 5, 1, 32).
        familiarity: with the training images; None until the run is over, as to learn it takes a while.
    """

    def __init__(
        self, config: TrainConfig, load: Callable[[], Dataset], on_start: Callable[["Run"], None]
    ) -> None:
        """Begin. The run's thread calls `load` for the data, and `on_start` before the first step."""
        self.config = config
        self.losses: list[float] = []
        self.evaluations: list[EvaluationEvent] = []
        self.start: StartEvent | None = None
        self.error: str | None = None
        self.warning: str | None = None
        self.familiarity: Familiarity | None = None
        self.first_filters: NDArray[np.float32] | None = None
        self._load = load
        self._on_start = on_start
        self._changed = threading.Condition()
        self._paused = False
        self._stopping = False
        self._is_left = False
        self._is_over = False
        self._tasks: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._times: deque[tuple[float, int]] = deque()
        self._thread = threading.Thread(target=self._train, name="training", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        """What the run is doing; the last three are the end of it."""
        if self.error is not None:
            return "failed"
        if self._is_over:
            return "stopped" if self._stopping else "finished"
        if self.start is None:
            return "loading"
        return "paused" if self._paused else "running"

    @property
    def is_over(self) -> bool:
        """Whether no more will happen."""
        return self._is_over

    @property
    def step(self) -> int:
        """Completed steps."""
        return len(self.losses)

    def steps_per_second(self) -> float | None:
        """The speed of the last RATE_SECONDS; None while the run stands still."""
        now = time.monotonic()
        recent = [(then, step) for then, step in self._times.copy() if now - then <= RATE_SECONDS]
        if self.state != "running" or len(recent) < 2:
            return None
        (begin, first), (end, last) = recent[0], recent[-1]
        return (last - first) / (end - begin) if end > begin else None

    def pause(self, pause: bool) -> None:
        """Stand still after the steps under way, or go on."""
        with self._changed:
            self._paused = pause
            self._changed.notify_all()

    def stop(self) -> None:
        """End after the steps under way; a checkpoint, if the run has one, is saved as after any run."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def close(self) -> None:
        """Stop, and wait for the end."""
        self.leave()
        self.stop()
        self.join()

    def leave(self) -> None:
        """Tell that nobody will read with the network any more: no familiarity is learned."""
        self._is_left = True

    def between_steps(self, task: Callable[[], T]) -> Future[T]:
        """Have a task done where no step is under way: by the training thread or, if that has ended, here."""
        future: Future[T] = Future()
        with self._changed:
            if not self._is_over:
                self._tasks.append((task, future))
                self._changed.notify_all()
                return future
        _do(task, future)
        return future

    def _train(self) -> None:
        try:
            dataset = self._load()
            if self._stopping:
                raise Error("the run was stopped before it began")
            train(
                self.config,
                dataset=dataset,
                on_step=_weakly(self._on_step),  # or `start`, which keeps them, would be a cycle
                on_event=_weakly(self._on_event),
                stop=_weakly(self._halt),
                curves=True,
            )
        except (Error, ConfigError) as error:
            self.error = str(error)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
        finally:
            with self._changed:
                self._is_over = True
            self._do_tasks()
        with _LEARNING:
            if self.start is not None and self.error is None and not self._is_left:
                self.familiarity = familiarity_of(self.start.checkpoint())

    def _on_step(self, event: StepEvent) -> None:
        self.losses.append(event.loss)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StartEvent):
            self.first_filters = event.trainer.state_dict()["conv0.weight"]
            self.start = event
            self._on_start(self)
        elif isinstance(event, EvaluationEvent):
            self.evaluations.append(event)
        elif isinstance(event, CheckpointFailedEvent):
            self.warning = event.warning()

    def _halt(self) -> bool:
        """Stand still while the run is paused, and tell whether it is to end: train() asks between steps."""
        now = time.monotonic()
        self._times.append((now, self.step))
        while now - self._times[0][0] > RATE_SECONDS:
            self._times.popleft()
        while True:
            self._do_tasks()
            with self._changed:
                if self._stopping or not self._paused:
                    return self._stopping
                if not self._tasks:
                    self._changed.wait()

    def _do_tasks(self) -> None:
        while self._tasks:
            _do(*self._tasks.popleft())


def _weakly(method: Callable[P, T]) -> Callable[P, T]:
    """Make a function of a method that does not keep its object: somebody else does."""
    reference = weakref.WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        kept = reference()
        assert kept is not None
        return kept(*args, **kwargs)

    return call


def _do(task: Callable[[], T], future: Future[T]) -> None:
    try:
        future.set_result(task())
    except Exception as error:
        future.set_exception(error)
