"""The contestants by name: the files of this folder that declare a PEER. No framework is imported."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

OURS = "mpsmnist"
OPERATIONS = ("step", "predict", "evaluate")  # of latency.py: methods of contestants


@dataclass(frozen=True)
class Entry:
    """Where a contestant is found, and what it needs."""

    name: str  # framework, form and device
    device: str
    module: str
    class_name: str
    imports: str  # the module whose import is timed
    install: str  # the command that installs it
    distributions: tuple[str, ...] = ()  # their versions are kept with the figures
    operations: tuple[str, ...] = ("step",)  # predict and evaluate need a Predictor, train a TrainingRun
    thread_variables: tuple[str, ...] = ()  # environment variables that set its number of threads
    only_by_name: bool = False
    python: str | None = None  # the interpreter that runs it, if not this one

    @property
    def is_peer(self) -> bool:
        """Whether it is another framework."""
        return self.imports != OURS

    @property
    def installed(self) -> bool:
        """Whether its framework can be imported, as far as one can tell without doing it."""
        return self.python is not None or find_spec(self.imports.partition(".")[0]) is not None


def contestants() -> list[Entry]:
    """All of them: ours first, then by file."""
    files = sorted(
        Path(__file__).parent.glob("*.py"), key=lambda path: (not path.stem.startswith(OURS), path.stem)
    )
    return [entry for path in files for entry in _entries(path)]


def select(
    peers: Sequence[str] | None,
    device: str,
    operation: str = "step",
    pythons: Mapping[str, str] | None = None,
) -> list[Entry]:
    """Ours, and the peers whose names are, or begin with, one of `peers`; None means all of them.

    Only those that have `operation`. `pythons`: by name, interpreters that run ours once more.

    Raises ValueError for a name that matches nothing.
    """
    able = [entry for entry in contestants() if operation in entry.operations]
    for peer in peers or ():
        if not any(_matches(entry, peer) for entry in able):
            known = ", ".join(entry.name for entry in able if entry.is_peer or entry.only_by_name)
            raise ValueError(
                f"--peers has {peer!r}, expected names or beginnings of names among {known} (to {operation})"
            )
    chosen = [
        entry
        for entry in able
        if device in ("all", entry.device) and (_is_default(entry, peers) or _is_named(entry, peers))
    ]
    ours = [entry for entry in chosen if not entry.is_peer]
    again = [
        replace(entry, name=f"{entry.name}@{name}", python=python)
        for name, python in (pythons or {}).items()
        for entry in ours
    ]
    return [*ours, *again, *(entry for entry in chosen if entry.is_peer)]


def _entries(path: Path) -> list[Entry]:
    peer = _declaration(path)
    shared = {key: value for key, value in peer.items() if key != "forms"}
    forms: Mapping[str, Mapping[str, Any]] = peer.get("forms", {})
    return [Entry(name=name, module=path.stem, **{**shared, **form}) for name, form in forms.items()]


def _declaration(path: Path) -> dict[str, Any]:
    """The literal that a file assigns to PEER; empty where it has none, as base.py.

    It is read, not run: the file imports its framework, which may be slow or not be installed.
    """
    declared: dict[str, Any] = {}
    for statement in ast.parse(path.read_text("utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="PEER")], value=literal):
                declared = ast.literal_eval(literal)
    return declared


def _is_default(entry: Entry, peers: Sequence[str] | None) -> bool:
    return not entry.only_by_name and (peers is None or not entry.is_peer)


def _is_named(entry: Entry, peers: Sequence[str] | None) -> bool:
    return any(_matches(entry, peer) for peer in peers or ())


def _matches(entry: Entry, peer: str) -> bool:
    return entry.name == peer or entry.name.startswith(f"{peer}-")
