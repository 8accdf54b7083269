"""Ways to run the commands of benchmarks/, as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from support import examples
from support.datasets import idx_bytes

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


class Run(NamedTuple):
    """What a command left behind."""

    summary: dict[str, Any]
    raw: dict[str, Any]
    text: str
    status: int

    def rows(self, **values: Any) -> list[dict[str, Any]]:
        """The rows of the summary that have these values."""
        return [row for row in self.summary["rows"] if values.items() <= row.items()]

    def contestant(self, name: str) -> dict[str, Any]:
        """What the summary knows of a contestant of the first batch size."""
        found: dict[str, Any] = next(row for row in self.summary["contestants"] if row["contestant"] == name)
        return found

    def report(self, name: str) -> dict[str, Any]:
        """What was measured of a contestant of the first batch size."""
        reports = self.raw["measured"][0]["contestants"]
        found: dict[str, Any] = next(report for report in reports if report["name"] == name)
        return found


def write_digits(folder: Path) -> None:
    """A small dataset in MNIST's files."""
    for part, seed in (("train", 1), ("t10k", 2)):
        images, labels = examples.discs(40, seed=seed)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels.astype(np.uint8)))


def run(name: str, options: list[str], digits: Path, folder: Path, *, plot: bool = True) -> Run:
    """Run a benchmark on one thread. It must write what it is asked for, and warn of nothing."""
    output, picture = folder / "result.json", folder / "result.png"
    common = ["--dataset", "auto", "--data-dir", str(digits), "--threads", "1"]
    files = [
        "--output",
        str(output),
        "--raw-dir",
        str(folder / "raw"),
        *(["--plot", str(picture)] if plot else []),
    ]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *options, *common, *files],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    assert output.exists(), done.stderr
    assert not plot or picture.read_bytes().startswith(b"\x89PNG")
    raw = json.loads((folder / "raw" / output.name).read_text())
    return Run(json.loads(output.read_text()), raw, done.stdout, done.returncode)
