"""Small programs that tests run in a process of their own, because what they do may end it."""

from __future__ import annotations

import subprocess
import sys

TIMEOUT = 300  # seconds after which we call it a hang: on a busy machine 60 were too few


def run_program(script: str, *arguments: str) -> str:
    """What the script prints; fails unless it exits with 0 and in time."""
    process = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert process.returncode == 0, f"exit code {process.returncode}: {process.stderr}"
    return process.stdout
