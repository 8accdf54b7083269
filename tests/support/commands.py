"""Command lines, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

Call = Callable[..., tuple[int, str, str]]  # returns the exit code, stdout and stderr

# Options for a training run that is over soon.
SMALL = ("--device", "cpu", "--batch-size", 2)


def _words(module: str, arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", f"mpsmnist.{module}", *map(str, arguments)]


def environment() -> dict[str, str]:
    """This process's, but stdout is buffered, as it is for most users."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = _words(module, arguments)
    return subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=120, check=False)


def start(module: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(_words(module, arguments), env=environment(), text=True, **options)


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
