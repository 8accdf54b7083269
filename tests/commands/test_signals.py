"""Signals that ask a command to end: the first, the second, those that are ignored."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mpsmnist import _core
from mpsmnist.commands import predict
from mpsmnist.commands.console import Command, run_command
from mpsmnist.commands.signals import Interrupted, check, deferred
from mpsmnist.predict import main
from support.commands import Call, start

STOP_SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
each_signal = pytest.mark.parametrize(("number", "code"), STOP_SIGNALS.items())


def kill(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def command(run: Callable[[], int]) -> Callable[[], Command]:
    return lambda: Command(
        description="", epilog="", add_options=lambda _parser: None, run=lambda _arguments, _program: run()
    )


def interrupted(number: signal.Signals) -> str:
    return "prog: interrupted\n" if number == signal.SIGINT else f"prog: interrupted by {number.name}\n"


@each_signal
def test_the_first_signal_ends_a_command(call: Call, number: signal.Signals, code: int) -> None:
    def run() -> int:
        kill(number)
        raise AssertionError("the signal was not handled")

    assert call(run_command, command(run), "prog", []) == (code, "", interrupted(number))


@each_signal
def test_a_signal_during_the_imports_waits_for_their_end(
    call: Call, number: signal.Signals, code: int
) -> None:
    """Some of what is raised in an import is printed as a traceback, and forgotten."""
    loaded = []

    def load() -> Command:
        kill(number)
        loaded.append(True)
        return command(lambda: 0)()

    assert call(run_command, load, "prog", []) == (code, "", interrupted(number))
    assert loaded == [True]


@pytest.mark.parametrize("module", ["train", "predict", "doctor"])
@pytest.mark.parametrize("words", ["-m mpsmnist {}", "-m mpsmnist.{}"])
def test_ctrl_c_during_the_imports_of_a_program(tmp_path: Path, module: str, words: str) -> None:
    """A NumPy that sends its importer a signal, before the real one is imported."""
    (tmp_path / "numpy.py").write_text(
        "import importlib, os, signal, sys\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "del sys.modules['numpy']\n"
        f"sys.path.remove({str(tmp_path)!r})\n"
        "importlib.import_module('numpy')\n"
    )
    done = subprocess.run(
        [sys.executable, *words.format(module).split(), "--version"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.endswith(f"{module}: interrupted\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_signal_that_is_swallowed_still_counts(call: Call) -> None:
    def run() -> int:
        try:
            kill(signal.SIGTERM)
        except BaseException:
            return 0
        raise AssertionError("the signal was not handled")

    assert call(run_command, command(run), "prog", [])[0] == 143


def test_deferred_signals_are_asked_for(call: Call) -> None:
    def run() -> int:
        with deferred() as stop:
            assert not stop()
            kill(signal.SIGTERM)
            assert stop()
        check("after step 7")
        raise AssertionError("the signal was forgotten")

    assert call(run_command, command(run), "prog", [])[::2] == (
        143,
        "prog: interrupted by SIGTERM after step 7\n",
    )


@pytest.mark.parametrize("second", STOP_SIGNALS)
@pytest.mark.parametrize("first", STOP_SIGNALS)
def test_the_second_signal_ends_at_once_even_in_a_native_call(
    first: signal.Signals, second: signal.Signals
) -> None:
    """The call never ends and, unlike the Trainer's, never looks for signals."""
    script = (
        "import itertools, os, signal\n"
        "from mpsmnist.commands.signals import deferred, handled\n"
        "with handled(), deferred():\n"
        "    os.set_blocking(1, False)\n"
        "    signal.set_wakeup_fd(1)\n"
        "    print('ready', flush=True)\n"
        "    sum(itertools.repeat(0))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        assert process.stdout.read(1) == chr(first)  # it was handled
        process.send_signal(second)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
    assert process.returncode == -second


def test_handle_once_takes_any_signal_that_can_be_handled() -> None:
    for number in (signal.SIGKILL, 0, -1, 1000):
        with pytest.raises(ValueError, match=f"number: {int(number)}; expected a signal that can be handled"):
            _core.handle_once(number)


def test_ignored_signals_stay_ignored(call: Call) -> None:
    """As nohup starts a process."""

    def run() -> int:
        kill(signal.SIGHUP)
        return 7

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert call(run_command, command(run), "prog", []) == (7, "", "")
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("outcome", [0, 1, SystemExit(2), ZeroDivisionError()])
def test_handlers_are_restored(call: Call, outcome: int | BaseException) -> None:
    def run() -> int:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    if isinstance(outcome, ZeroDivisionError):
        with pytest.raises(ZeroDivisionError):
            call(run_command, command(run), "prog", [])
    else:
        call(run_command, command(run), "prog", [])
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


@each_signal
def test_a_signal_ends_predict(
    call: Call, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.setattr(predict, "load_network", lambda *_: kill(number))
    found, out, err = call(main, ["a.png", "--checkpoint", "run"])
    assert (found, out) == (code, "")
    assert err == interrupted(number).replace("prog", "python -m mpsmnist.predict")


def test_a_signal_ends_the_doctor() -> None:
    with start("doctor", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert (process.wait(60), process.stderr.read()) == (
            143,
            "python -m mpsmnist.doctor: interrupted by SIGTERM\n",
        )


def test_the_message_names_the_signal_unless_it_is_ctrl_c() -> None:
    assert str(Interrupted(signal.SIGINT)) == "interrupted"
    assert str(Interrupted(signal.SIGHUP, "after step 3")) == "interrupted by SIGHUP after step 3"
