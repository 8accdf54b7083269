"""What all tabs of the page share: the run, the network that reads, and what is found on the test images."""

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..data import DATASETS, Dataset, load
from ..errors import DatasetError, Error
from ..training.checkpoint import Checkpoint, SavedWeights
from ..training.config import ConfigError, TrainConfig, merge
from ..training.loop import check_ahead
from .findings import Findings, find
from .reader import Following, NoNetworkError, Opened, Reader, Weights
from .run import Run

# What the page may set; the rest is the command's, or its preset's.
OPTIONS = frozenset(
    {"dataset", "steps", "epochs", "batch_size", "learning_rate", "momentum", "device", "seed"}
)


class Runs(NamedTuple):
    """The runs of a session at one moment.

    Attributes:
        run: the newest that has begun.
        number: how many have begun.
        starting: one that loads its data, or could not begin; None once it has begun.
        starts: how many were asked for.
    """

    run: Run | None
    number: int
    starting: Run | None
    starts: int


class Session:
    """Its methods may be called in several threads."""

    def __init__(self, opened: SavedWeights | None = None, **options: Any) -> None:
        """Take a checkpoint to read with until there is a run, and options of TrainConfig for all runs."""
        self._run: Run | None = None  # the newest that has begun
        self._starting: Run | None = None  # loads its data, or could not begin
        self._runs = self._starts = 0
        self._is_closed = False
        self._options = options
        self._opened = opened
        self._reader = None if opened is None else Reader(Opened(opened))
        self._datasets: dict[str, Dataset] = {}
        self._findings: tuple[Reader, Weights, Findings] | None = None
        self._lock = threading.Lock()
        self._finding = threading.Lock()

    def begin(self, preset: str, options: Mapping[str, Any]) -> None:
        """Begin a run; until it has loaded its data, the run and the network before it stay.

        Raises:
            ConfigError: the options make no sense.
            Error: there is no such device, a run is under way, or the session is closed.
        """
        if unknown := options.keys() - OPTIONS:
            raise ConfigError(f"{min(unknown)} is no option of the page")
        config = TrainConfig.preset(preset, **merge(options, self._options))
        if config.dataset not in DATASETS:
            raise ConfigError(f"dataset is {config.dataset!r}, expected one of {', '.join(DATASETS)}")
        with self._lock:
            if self._is_closed:
                raise Error("the page is closed")
            if any(run is not None and not run.is_over for run in (self._run, self._starting)):
                raise Error("a run is under way: stop it first")
            check_ahead(config)
            self._starting = Run(config, lambda: self._load(config.dataset), self._begun)
            self._starts += 1

    def _begun(self, run: Run) -> None:
        with self._lock:
            if self._run is not None:
                self._run.leave()
            self._run, self._starting = run, None
            self._runs += 1
            self._reader = Reader(Following(run))

    def runs(self) -> Runs:
        """Tell what is running, or was last, and what is to take its place."""
        with self._lock:
            return Runs(self._run, self._runs, self._starting, self._starts)

    def pause(self, pause: bool) -> None:
        """Let the run, or the one that is starting, stand still or go on."""
        if (run := self._newest()) is not None:
            run.pause(pause)

    def stop(self) -> None:
        """End the run, or the one that is starting."""
        if (run := self._newest()) is not None:
            run.stop()

    def _newest(self) -> Run | None:
        with self._lock:
            return self._run if self._starting is None or self._starting.is_over else self._starting

    def close(self) -> None:
        """Stop the run, and wait until it has ended and is saved, if it is to be; no other can begin.

        Raises:
            Error: the run was to be saved, and is not.
        """
        with self._lock:
            self._is_closed = True
            runs = self._run, self._starting
        for each in runs:
            if each is not None:
                each.close()
        run = self._run
        if run is not None and run.error is not None and run.config.checkpoint is not None:
            raise Error(run.error)

    @property
    def has_network(self) -> bool:
        """Whether there is something to read with."""
        return self._reader is not None

    @property
    def reader(self) -> Reader:
        """What reads pictures now. Raises NoNetworkError."""
        if self._reader is None:
            raise NoNetworkError
        return self._reader

    def checkpoint(self) -> SavedWeights:
        """Make a checkpoint of the run as it is, or give the opened one. Raises NoNetworkError."""
        run = self._run
        if run is not None:
            assert run.start is not None
            return run.between_steps(run.start.checkpoint).result()
        if self._opened is None:
            raise NoNetworkError
        return self._opened

    def findings(self, *, renew: bool) -> Findings:
        """Look at the test images, with the newest weights if `renew`, or else as they were looked at last.

        Raises:
            DatasetError: there are none.
            NoNetworkError: there is no network yet.
        """
        with self._finding:
            with self._lock:
                reader, run = self.reader, self._run
            last = self._findings
            if last is not None and last[0] is reader and (not renew or last[1] is reader.weights()):
                return last[2]
            weights = reader.weights()
            findings = find(weights, self._dataset(run))
            self._findings = reader, weights, findings
            return findings

    def _dataset(self, run: Run | None) -> Dataset:
        """Load what the network of the run, or else of the checkpoint, was trained on."""
        if run is not None and run.start is not None:
            return run.start.dataset
        if not isinstance(self._opened, Checkpoint):
            raise DatasetError("the file of this network does not say what it was trained on")
        return self._load(self._opened.dataset)

    def _load(self, name: str) -> Dataset:
        if name not in self._datasets:
            is_drawn = name == "synthetic"  # by the package: it is in no folder
            data_dir = None if is_drawn else self._options.get("data_dir")
            self._datasets[name] = load(name, data_dir=data_dir, offline=self._options.get("offline"))
        return self._datasets[name]
