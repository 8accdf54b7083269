"""The command `mpsmnist`, and what all of its subcommands have in common."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import mpsmnist
from mpsmnist.commands.console import Command, UsageError, run_command
from mpsmnist.commands.main import COMMANDS, main
from support.commands import Call


def test_the_help_lists_the_commands(call: Call) -> None:
    code, out, err = call(main, ["--help"])
    assert (code, err) == (0, "")
    assert out.startswith("usage: mpsmnist [-h] [--version] COMMAND ...\n")
    for name, summary in COMMANDS.items():
        assert any(line.split() == [name, *summary.split()] for line in out.splitlines()), name


def test_no_command_is_bad_usage_and_gets_the_help(call: Call) -> None:
    code, out, err = call(main, [])
    assert (code, out) == (2, "")
    assert err == call(main, ["--help"])[1]


def test_an_unknown_command_gets_the_list_of_commands(call: Call) -> None:
    code, out, err = call(main, ["practise", "--steps", "3"])
    assert (code, out) == (2, "")
    assert "'practise'" in err
    for name in COMMANDS:
        assert name in err.splitlines()[-1]


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_every_command_has_the_version(call: Call, name: str | None) -> None:
    arguments = [*([] if name is None else [name]), "--version"]
    assert call(main, arguments) == (0, f"mpsmnist {mpsmnist.__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_how_it_was_run(call: Call, name: str) -> None:
    code, out, _ = call(main, [name, "--help"])
    assert code == 0
    assert out.startswith(f"usage: mpsmnist {name} [-h]")
    _, out, _ = call(main, [name, "--help"], program="python -m mpsmnist")
    assert out.startswith(f"usage: python -m mpsmnist {name} [-h]")
    if name != "data":  # the module of that name is the library
        _, out, _ = call(import_module(f"mpsmnist.{name}").main, ["--help"])
        assert out.startswith(f"usage: python -m mpsmnist.{name} [-h]")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_names_its_exit_codes(call: Call, name: str) -> None:
    _, out, _ = call(main, [name, "--help"])
    words = " ".join(out.split()).partition("exit codes: ")[2]
    assert [code for code in ("0", "1", "2", "130") if f"{code} " in words] == ["0", "1", "2", "130"]


@pytest.mark.parametrize("name", COMMANDS)
def test_bad_usage_of_a_command(call: Call, name: str) -> None:
    code, out, err = call(main, [name, "--nonsense"])
    assert (code, out) == (2, "")
    first, last = err.splitlines()
    assert first == f"Help: mpsmnist {name} --help"
    assert last.startswith(f"mpsmnist {name}: error: ")


MEMBERS = ("list", "fetch", "verify", "show")


def test_a_command_of_commands_is_like_the_command_itself(call: Call) -> None:
    code, out, err = call(main, ["data"])
    assert (code, out) == (2, "")
    assert err == call(main, ["data", "--help"])[1]
    assert [line.split()[0] for line in err.splitlines() if line.startswith("    ")] == list(MEMBERS)
    code, out, err = call(main, ["data", "lst"])
    assert (code, out, err.splitlines()[0]) == (2, "", "Help: mpsmnist data --help")
    assert err.endswith("; did you mean list?\n")
    err = call(main, ["data", "--json", "list"])[2]
    assert err.endswith("error: options come after the command: mpsmnist data list --json ...\n")


@pytest.mark.parametrize("name", MEMBERS)
def test_a_command_of_a_command_has_what_all_have(call: Call, name: str) -> None:
    assert call(main, ["data", name, "--version"]) == (0, f"mpsmnist {mpsmnist.__version__}\n", "")
    code, out, _ = call(main, ["data", name, "--help"], program="python -m mpsmnist")
    assert (code, out.partition(" [-h]")[0]) == (0, f"usage: python -m mpsmnist data {name}")
    words = " ".join(out.split()).partition("exit codes: ")[2]
    assert [code for code in ("0", "1", "2", "130") if f"{code} " in words] == ["0", "1", "2", "130"]
    code, out, err = call(main, ["data", name, "--nonsense"])
    assert (code, out, len(err.splitlines())) == (2, "", 2)
    assert err.startswith(f"Help: mpsmnist data {name} --help\nmpsmnist data {name}: error: ")


def test_arguments_reach_the_command_and_messages_name_it(call: Call, tmp_path: Path) -> None:
    code, out, err = call(main, ["predict", "a.png", "--checkpoint", str(tmp_path / "absent")])
    assert (code, out) == (1, "")
    assert err == f"mpsmnist predict: checkpoint '{tmp_path}/absent' does not exist\n"


def test_the_console_script_is_installed() -> None:
    [script] = importlib.metadata.entry_points(group="console_scripts", name="mpsmnist")
    assert script.load() is main


def test_the_package_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mpsmnist", "doctor", "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m mpsmnist doctor [-h]")


def command(run: Callable[..., int]) -> Callable[[], Command]:
    """Load a command without options that does `run`."""
    return lambda: Command(description="", epilog="", add_options=lambda _parser: None, run=run)


def raising(error: BaseException) -> Callable[[], Command]:
    def run(*_: object) -> int:
        raise error

    return command(run)


@pytest.mark.parametrize(
    ("error", "code", "last_line"),
    [
        (UsageError("steps is 0"), 2, "prog: error: steps is 0"),
        (mpsmnist.DeviceError("no such device"), 1, "prog: no such device"),
        (mpsmnist.DatasetError("no such file"), 1, "prog: no such file"),
        (OSError(28, "No space left on device"), 1, "prog: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, "prog: interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_errors_become_one_line_and_an_exit_code(
    call: Call, error: BaseException, code: int, last_line: str
) -> None:
    found, out, err = call(run_command, raising(error), "prog", [])
    assert (found, out) == (code, "")
    assert err.splitlines()[-1] == last_line
    assert "Traceback" not in err


def test_names_in_errors_do_not_command_the_terminal(call: Call) -> None:
    error = mpsmnist.DatasetError("tried:\n  a\x1b[2J\r: absent")
    assert call(run_command, raising(error), "prog", []) == (1, "", "prog: tried:\n  a\\x1b[2J\\r: absent\n")


def test_a_bug_is_not_hidden(call: Call) -> None:
    with pytest.raises(ZeroDivisionError):
        call(run_command, raising(ZeroDivisionError()), "prog", [])


def test_the_exit_code_is_the_commands() -> None:
    assert run_command(command(lambda *_: 7), "prog", []) == 7


def test_a_process_may_start_without_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's sys.stdout is None there (`mpsmnist train --quiet >&-`)."""
    monkeypatch.setattr(sys, "stdout", None)
    assert run_command(command(lambda *_: 0), "prog", []) == 0


def test_options_come_after_the_command(call: Call) -> None:
    for argv in (["--data-dir", "x", "train"], ["--steps=3", "train", "--quiet"]):
        code, out, err = call(main, argv)
        assert (code, out) == (2, "")
        words = f"mpsmnist: error: options come after the command: mpsmnist train {argv[0]} ..."
        assert err.splitlines()[-1] == words
    err = call(main, ["--data-dir", "data", "train"])[2]  # a folder of the name of a command
    assert err.endswith("error: options come after the command: mpsmnist train --data-dir ...\n")
    assert (
        call(main, ["--nonsense"])[2].splitlines()[-1]
        == "mpsmnist: error: unrecognized arguments: --nonsense"
    )
    assert call(main, ["--help", "train"])[0] == 0


def test_a_command_runs_outside_the_main_thread(call: Call) -> None:
    """Where Python handles no signals."""
    codes: list[int] = []

    def work() -> None:
        codes.append(main(["doctor", "--version"]))
        codes.append(run_command(command(lambda *_: 5), "prog", []))

    def run() -> int:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)
        return 0

    assert call(run) == (0, f"mpsmnist {mpsmnist.__version__}\n", "")
    assert codes == [0, 5]
