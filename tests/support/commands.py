"""Command lines, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"mpsmnist.{module}", *map(str, arguments)]


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(module, *arguments), capture_output=True, text=True, timeout=120, check=False
    )


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
