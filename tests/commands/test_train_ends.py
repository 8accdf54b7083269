"""How a training run ends early: Ctrl-C, a kill, a reader that goes away."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from mpsmnist import checkpoint
from support.checks import assert_same_state
from support.commands import SMALL, json_lines, run, start


def test_a_killed_run_resumes_with_the_same_bits(data_dir: Path, tmp_path: Path) -> None:
    options = ("--data-dir", data_dir, *SMALL, "--steps", 200, "--momentum", 0.5, "--quiet")
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert run("train", *options, "--checkpoint", straight).returncode == 0

    saving = ("--checkpoint", killed, "--checkpoint-every", 100, "--json")
    with start("train", *options, *saving, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if '"checkpoint"' in line:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert checkpoint.load(killed).step == 100

    resumed = run("train", "--data-dir", data_dir, "--resume", killed, "--threads", 1, "--json", "--quiet")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    first, last = json_lines(resumed.stdout)[1], json_lines(resumed.stdout)[-1]
    assert (first["step"], last["steps"]) == (101, 200)
    assert_same_state(checkpoint.load(killed).state, checkpoint.load(straight).state)
