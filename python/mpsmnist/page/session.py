"""What all tabs of the page share: the run, the network that reads, and what is found on the test images."""

import threading
from collections.abc import Mapping
from typing import Any

from ..data import DATASETS, Dataset, load
from ..errors import Error
from ..training.checkpoint import Checkpoint
from ..training.config import ConfigError, TrainConfig, merge
from ..training.loop import check_ahead
from .findings import Findings, find
from .reader import Following, NoNetworkError, Opened, Reader
from .run import Run

# What the page may set; the rest is the command's, or its preset's.
OPTIONS = frozenset(
    {"dataset", "steps", "epochs", "batch_size", "learning_rate", "momentum", "device", "seed"}
)


class Session:
    """Its methods may be called in several threads."""

    def __init__(self, opened: Checkpoint | None = None, **options: Any) -> None:
        """Take a checkpoint to read with until there is a run, and options of TrainConfig for all runs."""
        self.run: Run | None = None
        self.run_number = 0
        self._options = options
        self._opened = opened
        self._reader = None if opened is None else Reader(Opened(opened))
        self._datasets: dict[str, Dataset] = {}
        self._findings: tuple[Reader, Findings] | None = None
        self._lock = threading.Lock()
        self._finding = threading.Lock()

    def begin(self, preset: str, options: Mapping[str, Any]) -> None:
        """Begin a run. Raises ConfigError, and Error if there is no such device or one is under way."""
        if unknown := options.keys() - OPTIONS:
            raise ConfigError(f"{min(unknown)} is no option of the page")
        config = TrainConfig.preset(preset, **merge(options, self._options))
        if config.dataset not in DATASETS:
            raise ConfigError(f"dataset is {config.dataset!r}, expected one of {', '.join(DATASETS)}")
        check_ahead(config)
        with self._lock:
            if self.run is not None and not self.run.is_over:
                raise Error("a run is under way: stop it first")
            self.run = Run(config, lambda: self._load(config.dataset))
            self.run_number += 1
            self._reader = Reader(Following(self.run))

    def close(self) -> None:
        """Stop the run, and wait until it has ended and is saved, if it is to be."""
        if self.run is not None:
            self.run.close()

    @property
    def has_network(self) -> bool:
        """Whether there is something to read with, or will be soon."""
        return self._reader is not None

    @property
    def reader(self) -> Reader:
        """What reads pictures now. Raises NoNetworkError."""
        if self._reader is None:
            raise NoNetworkError
        return self._reader

    def checkpoint(self) -> Checkpoint:
        """Make a checkpoint of the run as it is, or give the opened one. Raises NoNetworkError."""
        run = self.run
        if run is None and self._opened is not None:
            return self._opened
        if run is None or run.start is None:
            raise NoNetworkError
        return run.between_steps(run.start.checkpoint).result()

    def dataset(self) -> Dataset:
        """Load what the network was trained on. Raises DatasetError and NoNetworkError."""
        if self.run is not None and self.run.start is not None:
            return self.run.start.dataset
        if self._opened is None:
            raise NoNetworkError
        return self._load(self._opened.dataset)

    def findings(self, *, renew: bool) -> Findings:
        """Look at the test images, with the newest weights if `renew`, or else as they were looked at last.

        Raises:
            DatasetError: there are none.
            NoNetworkError: there is no network yet.
        """
        with self._finding:
            reader = self.reader
            if self._findings is None or self._findings[0] is not reader or renew:
                self._findings = reader, find(reader.weights(), self.dataset())
            return self._findings[1]

    def _load(self, name: str) -> Dataset:
        if name not in self._datasets:
            places: dict[str, Any] = {key: self._options.get(key) for key in ("data_dir", "offline")}
            self._datasets[name] = load(name, **places)
        return self._datasets[name]
