"""Starting the children, and turning an abort or a hang into a finding."""

import contextlib
import json
import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from fnmatch import fnmatch
from itertools import groupby
from multiprocessing.connection import Connection
from typing import IO, Any

from ..errors import Error
from .checks import Check, catalogue
from .extent import Extent
from .finding import Finding, Outcome

DEFAULT_EXTENT = Extent()
PATIENCE = 2  # silences of a device, after which it is asked no more
LAST_WORDS, LAST_WORDS_WIDTH = 5, 300  # lines of stderr, and characters of a line

# What this process imports from, as it was when this module was found: "" means another folder after a chdir.
_PATH = [os.path.abspath(folder) for folder in sys.path if isinstance(folder, str)]

Progress = Callable[[str], object]


def examine(
    only: str | Sequence[str] = "*", extent: Extent = DEFAULT_EXTENT, on_progress: Progress | None = None
) -> Iterator[Finding]:
    """Yield the findings for every device that the core knows, the CPU first.

    `only` is a pattern of ids, such as "mps/gradients/*", or several: whether a device opens is examined all
    the same, and a process that ended badly is told of. `on_progress` is told what is being done.
    Checks run in child processes: one that aborts or hangs is a finding, and a device that hung twice is
    asked no more. Raises ValueError for a pattern that matches no check, and Error if there is no Python to
    start the children with.
    """
    patterns = [only] if isinstance(only, str) else only
    if not isinstance(patterns, Sequence) or not all(isinstance(each, str) for each in patterns):
        raise TypeError(f"only is {only!r}, expected a pattern of ids, such as 'mps/gradients/*', or several")
    if not isinstance(extent, Extent):
        raise TypeError(f"extent is {extent!r}, expected an Extent")
    if not (on_progress is None or callable(on_progress)):
        raise TypeError(f"on_progress is {on_progress!r}, expected a function or None")
    checks = catalogue(extent)
    chosen = _choose(patterns, [check.id for check in checks])
    return _examine(checks, chosen, extent, on_progress or (lambda _doing: None))


def _choose(patterns: Sequence[str], ids: Sequence[str]) -> set[str]:
    """Return the ids that a pattern matches; one that matches none is a mistake."""
    chosen: set[str] = set()
    for pattern in patterns:
        matching = {id_ for id_ in ids if fnmatch(id_, pattern)}
        if not matching:
            close = [id_ for id_ in ids if id_.startswith(pattern)] or get_close_matches(pattern, ids)
            hint = f"; did you mean {' or '.join(close[:2])}?" if pattern and close else ""
            all_ids = textwrap.fill(" ".join(ids), 100, break_on_hyphens=False)
            raise ValueError(f"only is {pattern!r}, which matches no check{hint}\nThe checks are:\n{all_ids}")
        chosen |= matching
    if not chosen:
        raise ValueError("only is empty, expected at least one pattern of ids")
    return chosen


def _examine(
    checks: Sequence[Check], chosen: set[str], extent: Extent, on_progress: Progress
) -> Iterator[Finding]:
    for _device, of_device in groupby(checks, lambda check: check.device):
        opens, *others, ends = of_device
        others = [check for check in others if check.id in chosen]
        if not others and chosen.isdisjoint({opens.id, ends.id}):
            continue
        children = _Children(extent, on_progress)
        (opened,) = children.run([opens])
        yield opened
        last: list[Finding] = []
        if opened.verdict == "ok":
            for _group, group in groupby(others, lambda check: check.group):
                yield from children.run(list(group))
            if ends.id in chosen:
                last = list(children.run([ends]))
        if children.bad_ends:
            first, *later = children.bad_ends
            detail = f"{first}; processes that ended badly later: {len(later)}" if later else first
            last = [ends.finding(Outcome("FAIL", detail, {"bad_ends": children.bad_ends}))]
        yield from last


class _Children:
    """The children that run the checks of one device, one after another."""

    def __init__(self, extent: Extent, on_progress: Progress) -> None:
        self.bad_ends: list[str] = []  # of children that had done all their work
        self._extent = extent
        self._on_progress = on_progress
        self._silences = 0

    def run(self, checks: Sequence[Check]) -> Iterator[Finding]:
        """Run the checks in one child; where one ends it, another child takes up the rest."""
        remaining = list(checks)
        while remaining and self._silences < PATIENCE:
            last_id = remaining[-1].id
            with _Child(remaining, self._extent) as child:
                for answer in child.answers():
                    if "finding" in answer:
                        del remaining[0]
                        child.doing = ""
                        yield Finding(**answer["finding"])
                    else:
                        child.doing = answer["doing"]
                        self._on_progress(f"{remaining[0].id} {child.doing}")
                peaceful, ended = child.how_it_ended()
                self._silences += child.silent
            if remaining:
                yield remaining.pop(0).finding(Outcome("FAIL", ended))
            elif not peaceful:
                self.bad_ends.append(f"after {last_id}: {ended}")
        for check in remaining:
            silence = f"{PATIENCE} times the device was silent for {self._extent.silence:g} seconds"
            yield check.finding(Outcome("FAIL", f"not run: {silence}"))


class _Child:
    """A child process that runs checks and answers with JSON objects, until it is done, dead or silent."""

    def __init__(self, checks: Sequence[Check], extent: Extent) -> None:
        self.doing = ""
        self.silent = False
        self._extent = extent
        self._ids = [check.id for check in checks]

    def __enter__(self) -> "_Child":
        with contextlib.ExitStack() as stack:
            self._stderr: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
            self._answers, writer = multiprocessing.Pipe(duplex=False)
            stack.enter_context(self._answers)
            with writer:
                self._process = stack.enter_context(self._start(writer))
            stack.callback(self._process.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, writer: Connection) -> "subprocess.Popen[bytes]":
        program = f"import sys; sys.path[:] = {_PATH!r}; from {__package__}.child import main; main()"
        extent = json.dumps(asdict(self._extent))
        return subprocess.Popen(
            # -I: nothing from the environment or the working directory, but the path that this process has.
            [_python(), "-I", "-c", program, str(writer.fileno()), extent, *self._ids],
            stdin=subprocess.PIPE,  # whose end tells the child that this process is no more
            stdout=self._stderr,
            stderr=self._stderr,
            pass_fds=(writer.fileno(),),
        )

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield what it says. A silence of extent.silence seconds ends it."""
        with contextlib.suppress(EOFError, OSError):  # OSError: it died within an answer
            while self._answers.poll(self._extent.silence):
                yield json.loads(self._answers.recv_bytes())
            self._kill_silent()

    def _kill_silent(self) -> None:
        self.silent = True
        self._process.kill()

    def how_it_ended(self) -> tuple[bool, str]:
        """Wait for its end; return whether it was a peaceful one, and describe it."""
        try:
            code = self._process.wait(self._extent.silence)
        except subprocess.TimeoutExpired:
            self._kill_silent()
            code = self._process.wait()
        if self.silent:
            end = f"silent for {self._extent.silence:g} seconds"
        elif code < 0:
            end = f"ended by {_signal_name(-code)}"
        else:
            end = f"ended with exit code {code}"
        if self.doing:
            end += f" at: {self.doing}"
        words = self._last_words()
        return code == 0, f"{end}; last words: {words}" if words else end

    def _last_words(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 2**20))
        lines = self._stderr.read().decode(errors="replace").splitlines()
        return " | ".join([_printable(line.strip()) for line in lines if line.strip()][-LAST_WORDS:])


def _printable(line: str) -> str:
    """Return a line that a terminal shows as it is, and not at any length."""
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
    return shown if len(shown) <= LAST_WORDS_WIDTH else f"{shown[: LAST_WORDS_WIDTH - 3]}..."


def _python() -> str:
    """Return the path of a Python; programs that embed one name it with multiprocessing.set_executable()."""
    path = os.fsdecode(multiprocessing.spawn.get_executable() or "")
    if not path or (
        getattr(sys, "frozen", False) and path == sys.executable
    ):  # frozen: it is the program itself
        raise Error(
            "the doctor runs its checks in processes of their own, and this program has no Python to start: "
            "name one with multiprocessing.set_executable(path)"
        )
    return path


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
