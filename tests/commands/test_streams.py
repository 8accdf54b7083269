"""The standard streams of a command: closed, full, without a reader, hung up, ASCII only."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpsmnist import checkpoint
from mpsmnist.commands.console import Command, run_command
from mpsmnist.commands.streams import print_line
from mpsmnist.train import main
from support.commands import SMALL, Call, environment, json_lines
from support.pictures import drawing, save_weights, write_png

FULL = Path("/dev/full")
BROKEN = {
    "closed": "[Errno 9] Bad file descriptor",
    "full": "[Errno 28] No space left on device",
    "without a reader": "[Errno 32] Broken pipe",
    "hung up": "[Errno 5] Input/output error",
}


def skip_without_full(*states: str) -> None:
    if "full" in states and not FULL.exists():
        pytest.skip(f"this system has no {FULL}")


@contextlib.contextmanager
def stream(state: str) -> Iterator[int]:
    """The descriptor of a stream in this state; a "closed" one is up to the caller to close."""
    ours = theirs = -1
    if state == "full":
        theirs = os.open(FULL, os.O_WRONLY)
    elif state == "without a reader":
        ours, theirs = os.pipe()
        os.close(ours)
    elif state in ("hung up", "terminal"):
        ours, theirs = pty.openpty()
        if state == "hung up":
            os.close(ours)
    else:
        theirs = os.open(os.devnull, os.O_WRONLY)
    try:
        yield theirs
    finally:
        os.close(theirs)
        if state == "terminal":
            os.close(ours)


def run_with(stdout: str, stderr: str, module: str, *arguments: object) -> tuple[int, str, str]:
    """The exit code of the command, and what stdout and stderr got of it if they are "good"."""
    words = [sys.executable, "-m", f"mpsmnist.{module}", *map(str, arguments)]
    closed = "".join(f" {number}>&-" for number, state in ((1, stdout), (2, stderr)) if state == "closed")
    with stream(stdout) as out, stream(stderr) as err:
        done = subprocess.run(
            ["sh", "-c", f"exec {shlex.join(words)}{closed}"],
            stdout=subprocess.PIPE if stdout == "good" else out,
            stderr=subprocess.PIPE if stderr == "good" else err,
            env=environment(),
            text=True,
            timeout=60,
            check=False,
        )
    return done.returncode, done.stdout or "", done.stderr or ""


@pytest.mark.parametrize("stderr", ["good", "terminal", *BROKEN])
@pytest.mark.parametrize("stdout", ["good", *BROKEN])
def test_no_state_of_the_streams_costs_a_run(
    data_dir: Path, tmp_path: Path, stdout: str, stderr: str
) -> None:
    skip_without_full(stdout, stderr)
    path = tmp_path / "run"
    usual = ("--data-dir", data_dir, *SMALL, "--steps", 3, "--checkpoint", path)
    code, out, err = run_with(stdout, stderr, "train", *usual, "--json")
    assert checkpoint.load(path).step == 3
    assert "Traceback" not in err
    if stdout == "good":
        assert (code, json_lines(out)[-1]["event"]) == (0, "end")
    else:
        assert code == 1
    if stdout != "good" and stderr == "good":
        last = f"the JSON lines are incomplete: {BROKEN[stdout]}: '<stdout>'"
        assert err.splitlines()[-1] == f"python -m mpsmnist.train: {last}"


@pytest.mark.parametrize("state", BROKEN)
def test_a_run_without_json_needs_no_streams(data_dir: Path, tmp_path: Path, state: str) -> None:
    skip_without_full(state)
    path = tmp_path / "run"
    usual = ("--data-dir", data_dir, *SMALL, "--steps", 3, "--checkpoint", path)
    assert run_with(state, state, "train", *usual)[0] == 0
    assert checkpoint.load(path).step == 3


@pytest.mark.parametrize("state", BROKEN)
def test_predictions_and_help_need_stdout(tmp_path: Path, state: str) -> None:
    skip_without_full(state)
    weights = tmp_path / "run"
    save_weights(weights)
    picture = write_png(tmp_path / "a.png", drawing())
    for module, arguments in (("predict", (picture, "--checkpoint", weights)), ("doctor", ("--help",))):
        if module == "doctor" and state == "closed":
            continue  # argparse takes it for a wish to see nothing
        code, _, err = run_with(state, "good", module, *arguments)
        silent = state == "without a reader"  # as in `| head`
        expected = "" if silent else f"python -m mpsmnist.{module}: {BROKEN[state]}: '<stdout>'\n"
        assert (code, err) == (1, expected)


@pytest.mark.parametrize("state", BROKEN)
def test_errors_keep_their_exit_code_without_stderr(tmp_path: Path, state: str) -> None:
    skip_without_full(state)
    code, out, _ = run_with("good", state, "predict", "a.png", "--checkpoint", tmp_path / "absent")
    assert (code, out) == (1, "")
    code, out, _ = run_with("good", state, "predict", "--nonsense")
    assert (code, out) == (2, "")


def test_no_file_gets_the_descriptor_of_a_closed_stream(tmp_path: Path) -> None:
    """What other libraries print to descriptor 2 would otherwise end up in a checkpoint."""
    script = (
        "import os\n"
        "from mpsmnist.commands.console import Command, run_command\n"
        "def run(*_):\n"
        "    descriptor = os.open('file', os.O_CREAT | os.O_WRONLY)\n"
        "    return descriptor + 40\n"
        "command = Command('', '', lambda parser: None, run)\n"
        "raise SystemExit(run_command(lambda: command, 'prog', []))\n"
    )
    words = shlex.join([sys.executable, "-c", script])
    done = subprocess.run(["sh", "-c", f"exec {words} <&- >&- 2>&-"], cwd=tmp_path, timeout=60, check=False)
    assert done.returncode > 42


def command(text: str) -> Command:
    def run(*_: object) -> int:
        print_line(text)
        print(text, file=sys.stderr)
        return 0

    return Command(description="", epilog="", add_options=lambda _parser: None, run=run)


def test_a_process_without_streams(monkeypatch: pytest.MonkeyPatch, data_dir: Path, tmp_path: Path) -> None:
    """As pythonw starts it: sys.stdout and sys.stderr are None, and print() would write to the other one."""
    path = tmp_path / "run"
    usual = ["--data-dir", str(data_dir), *map(str, SMALL), "--steps", "3", "--checkpoint", str(path)]
    out = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", None)
        assert main([*usual, "--json"]) == 0
        assert main(["--nonsense"]) == 2
        patch.setattr(sys, "stdout", None)
        assert main([*usual, "--overwrite"]) == 0
        assert main([*usual, "--overwrite", "--json"]) == 1
        assert (sys.stdout, sys.stderr) == (None, None)
    assert json.loads(out.getvalue().splitlines()[-1])["event"] == "end"
    assert checkpoint.load(path).step == 3


@pytest.mark.parametrize("stream", [io.StringIO(), io.TextIOWrapper(io.BytesIO())], ids=["text", "wrapper"])
def test_a_stream_that_somebody_has_closed(monkeypatch: pytest.MonkeyPatch, stream: io.TextIOBase) -> None:
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    assert run_command(lambda: command("text"), "prog", []) == 0
    assert sys.stderr is stream


def test_a_stream_that_the_command_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stderr", stream)

    def run(*_: object) -> int:
        stream.close()
        return 0

    closing = Command(description="", epilog="", add_options=lambda _parser: None, run=run)
    assert run_command(lambda: closing, "prog", []) == 0
    assert sys.stderr is stream


@pytest.mark.parametrize("name", ["smörgås \N{SNOWMAN}", "\udcff"], ids=["not ASCII", "not UTF-8"])
def test_what_the_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    assert run_command(lambda: command(name), "prog", []) == 0
    for each in streams:
        each.flush()
        assert isinstance(each.buffer, io.BytesIO)
        assert each.buffer.getvalue() == name.encode("ascii", "backslashreplace") + b"\n"
        assert each.errors == "strict"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_odd_names_on_an_odd_terminal(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("LC_ALL", "C")
    weights = tmp_path / "w\N{SNOWMAN}\udcff"
    picture = write_png(tmp_path / "a.png", drawing()).rename(tmp_path / "p\N{SNOWMAN}\udcff")
    shown = os.fsencode(tmp_path).decode() + "/p" + ("\\u2603" if encoding == "ascii" else "\N{SNOWMAN}")
    usual = ("--data-dir", data_dir, *SMALL, "--steps", 1, "--checkpoint", weights)
    code, _, err = run_with("good", "good", "train", *usual)
    assert (code, "\\udcff" in err) == (0, True)
    code, out, err = run_with("good", "good", "predict", picture, "--checkpoint", weights)
    assert (code, err) == (0, "")
    assert out.startswith(shown + "\\udcff: ")
    code, _, err = run_with("good", "good", "predict", tmp_path / "absent\udcff", "--checkpoint", weights)
    assert code == 1
    assert "absent\\udcff: No such file" in err


def test_a_failing_stdout_is_left_as_it_was(call: Call, tmp_path: Path) -> None:
    """What it could not take is dropped, or Python would try again at exit; the file stays."""
    skip_without_full("full")
    with open(FULL, "w") as full:
        assert call(lambda: _run_with_stdout(full)) == (
            1,
            "",
            "prog: [Errno 28] No space left on device: '<stdout>'\n",
        )
        full.write("later")
        with pytest.raises(OSError, match="No space left"):  # it is the same file
            full.flush()
        with open(tmp_path / "disk", "w") as disk:
            os.dup2(disk.fileno(), full.fileno())
    assert (tmp_path / "disk").read_text() == "later"


def _run_with_stdout(stdout: io.TextIOWrapper) -> int:
    with contextlib.redirect_stdout(stdout):
        return run_command(lambda: command("text"), "prog", [])


def test_commands_in_several_threads_leave_the_streams_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first to begin ends first, whatever the second puts back then."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    running, may_end = [[threading.Event() for _ in range(2)] for _ in range(2)]
    codes = []

    def start(number: int) -> threading.Thread:
        def run(*_: object) -> int:
            running[number].set()
            assert may_end[number].wait(30)
            print_line("\N{SNOWMAN}")
            return 0

        hanging = Command(description="", epilog="", add_options=lambda _parser: None, run=run)
        thread = threading.Thread(target=lambda: codes.append(run_command(lambda: hanging, "prog", [])))
        thread.start()
        assert running[number].wait(30)
        return thread

    threads = [start(number) for number in range(2)]
    for number, thread in enumerate(threads):
        may_end[number].set()
        thread.join(30)
    assert codes == [0, 0]
    assert [sys.stdout, sys.stderr] == streams
    assert [stream.errors for stream in streams] == ["strict", "strict"]
    assert isinstance(streams[0].buffer, io.BytesIO)
    assert streams[0].buffer.getvalue() == b"\\u2603\n" * 2


class Failing(io.TextIOBase):
    """A stream of somebody's own, behind which there is no descriptor."""

    def write(self, _text: str) -> int:
        raise OSError("it is gone")

    def flush(self) -> None:
        raise OSError("it is gone")


def test_a_failing_stdout_without_a_descriptor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Failing())
    assert run_command(lambda: command("text"), "prog", []) == 1
    assert capsys.readouterr().err == "prog: it is gone: '<stdout>'\n"


def test_a_failing_stderr_without_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Failing())
    assert run_command(lambda: command("text"), "prog", []) == 0
