"""Starting the children, and turning an abort or a hang into a finding."""

import contextlib
import json
import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from itertools import groupby
from multiprocessing.connection import Connection
from typing import IO, Any

from ..errors import Error
from .checks import Check, catalogue
from .extent import Extent
from .finding import Finding, Outcome

DEFAULT_EXTENT = Extent()
LAST_WORDS = 5  # lines of stderr


def examine(
    only: str = "*",
    extent: Extent = DEFAULT_EXTENT,
    on_progress: Callable[[str], object] = lambda _doing: None,
) -> Iterator[Finding]:
    """Yield the findings for every device that the core knows, the CPU first.

    `only` is a pattern of ids, such as "mps/gradients/*": whether a device opens is examined all the same.
    `on_progress` is told what is being done. Checks run in child processes: one that aborts or hangs is a
    finding. Raises Error if there is no Python to start them with.
    """
    for _device, checks in groupby(catalogue(extent), lambda check: check.device):
        opens, *others = checks
        chosen = [check for check in others if fnmatch(check.id, only)]
        if not chosen and not fnmatch(opens.id, only):
            continue
        (finding,) = _run_checks([opens], extent, on_progress)
        yield finding
        if finding.verdict == "ok":
            for _group, group in groupby(chosen, lambda check: check.group):
                yield from _run_checks(list(group), extent, on_progress)


def _run_checks(
    checks: Sequence[Check], extent: Extent, on_progress: Callable[[str], object]
) -> Iterator[Finding]:
    """Run the checks in one child; where one ends it, another child takes up the rest."""
    remaining = list(checks)
    while remaining:
        with _Child(remaining, extent) as child:
            for answer in child.answers():
                if "finding" in answer:
                    del remaining[0]
                    yield Finding(**answer["finding"])
                else:
                    child.doing = answer["doing"]
                    on_progress(f"{remaining[0].id} {child.doing}")
            ended = child.how_it_ended()
        if remaining:
            yield remaining.pop(0).finding(Outcome("FAIL", ended))


class _Child:
    """A child process that runs checks and answers with JSON objects, until it is done, dead or silent."""

    def __init__(self, checks: Sequence[Check], extent: Extent) -> None:
        self.doing = ""
        self._extent = extent
        self._ids = [check.id for check in checks]
        self._silent = False

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
        program = f"import sys; sys.path[:] = {sys.path!r}; from {__package__}.child import main; main()"
        extent = json.dumps(asdict(self._extent))
        return subprocess.Popen(
            # -I: nothing from the environment or the working directory, but the path that this process has.
            [_python(), "-I", "-c", program, str(writer.fileno()), extent, *self._ids],
            stdin=subprocess.DEVNULL,
            stdout=self._stderr,
            stderr=self._stderr,
            pass_fds=(writer.fileno(),),
        )

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield what it says. A silence of extent.silence seconds ends it."""
        with contextlib.suppress(EOFError, OSError):  # OSError: it died within an answer
            while self._answers.poll(self._extent.silence):
                yield json.loads(self._answers.recv_bytes())
            self._silent = True
            self._process.kill()

    def how_it_ended(self) -> str:
        """Wait for its end and describe it."""
        code = self._process.wait()
        if self._silent:
            end = f"silent for {self._extent.silence:g} seconds"
        elif code < 0:
            end = f"ended by {_signal_name(-code)}"
        else:
            end = f"ended with exit code {code}"
        if self.doing:
            end += f" at: {self.doing}"
        words = self._last_words()
        return f"{end}; last words: {words}" if words else end

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()
        return " | ".join([line.strip() for line in lines if line.strip()][-LAST_WORDS:])


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
