"""The command `app`: its options, its address, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from websockets.sync.client import connect

from mpsmnist.app import main
from mpsmnist.checkpoint import load
from support.commands import Call, run, start
from support.pictures import save_weights


@contextmanager
def served(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it prints."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start("app", "--no-browser", "--port", 0, *arguments, **pipes) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def begin(address: str, **options: object) -> Any:
    """Begin a run and wait for its first steps."""
    url = urlsplit(address)
    with connect(f"ws://{url.netloc}/live?{url.query}") as socket_:
        options |= {"dataset": "mnist", "device": "cpu", "batch_size": 1}
        socket_.send(json.dumps({"type": "begin", "preset": "fast", "options": options}))
        while True:
            message = json.loads(socket_.recv(timeout=60))
            assert message["type"] != "error", message
            if message.get("losses"):
                return message


@pytest.mark.parametrize(
    ("number", "code", "words"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_ends_it_and_saves_the_run(
    data_dir: Path, tmp_path: Path, number: signal.Signals, code: int, words: str
) -> None:
    path = tmp_path / "run.safetensors"
    with served("--data-dir", data_dir, "--save", path) as (process, address):
        begin(address, steps=1_000_000)
        assert not path.exists()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
        assert process.returncode == code
    assert stderr.splitlines()[-1].startswith("python -m mpsmnist.app: ")
    assert words in stderr.splitlines()[-1]
    assert 0 < load(path).step < 1_000_000


def test_without_save_nothing_is_written(data_dir: Path, tmp_path: Path) -> None:
    with served("--data-dir", data_dir) as (process, address):
        begin(address, steps=1_000_000)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_checkpoint_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "digits.safetensors"
    save_weights(path)
    with served("--checkpoint", path) as (_, address):
        url = urlsplit(address)
        saved = requests.get(f"http://{url.netloc}/checkpoint?{url.query}", timeout=20)
        assert saved.status_code == 200
        assert len(saved.content) > 10**7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port is 70000, expected a whole number from 0 to 65535"),
        (["--threads", "0"], "--threads is 0, expected"),
        (["--overwrite"], "--overwrite needs --save"),
        (["--save", "/no/such/folder/run"], "--save is '/no/such/folder/run', but there is no folder"),
    ],
)
def test_bad_usage_is_said_before_anything_is_served(call: Call, arguments: list[str], words: str) -> None:
    code, stdout, stderr = call(main, arguments)
    assert (code, stdout) == (2, "")
    assert words in stderr


def test_a_file_that_exists_is_kept(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    path.write_text("precious")
    code, _, stderr = call(main, ["--save", str(path)])
    assert code == 2
    assert f"--save is '{path}', which exists: --overwrite replaces it" in stderr
    assert "resume" not in stderr  # which is no option of this command
    assert path.read_text() == "precious"


def test_a_port_that_is_taken_is_said(call: Call) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        code, _, stderr = call(main, ["--port", str(port)])
    assert code == 1
    assert f"port {port} is taken" in stderr


@pytest.mark.parametrize(
    ("host", "words"), [("localhost", "for you alone"), ("0.0.0.0", "for all on the network")]
)
def test_it_says_for_whom_the_page_is(host: str, words: str) -> None:
    with served("--host", host) as (process, _):
        assert process.stderr is not None
        assert words in process.stderr.readline()


def test_without_a_browser_it_says_so(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    monkeypatch.setattr(signal, "pause", lambda: signal.raise_signal(signal.SIGINT))
    code, _, stderr = call(main, ["--port", "0"])
    assert code == 130
    assert "no browser was found: open the address in one" in stderr


def test_a_checkpoint_that_is_none_is_said(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "digits.safetensors"
    path.write_text("no checkpoint")
    code, _, stderr = call(main, ["--checkpoint", str(path)])
    assert code == 1
    assert str(path) in stderr


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "websockets"])
def test_without_the_extra_it_is_named(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from mpsmnist.commands.main import main\n"
        "sys.exit(main(['app', '--no-browser', '--port', '0']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "pip install 'mpsmnist[app]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_is_there_without_the_extra() -> None:
    assert run("app", "--help").returncode == 0


def test_a_run_that_cannot_be_saved_at_the_end_is_said(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with served("--data-dir", data_dir, "--save", folder / "run.safetensors") as (process, address):
        begin(address, steps=1_000_000)
        folder.rmdir()
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert str(folder / "run.safetensors") in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
