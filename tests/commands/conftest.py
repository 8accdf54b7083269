"""Data and commands for the tests of the command lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpsmnist.train import main
from support.commands import SMALL, Command, in_this_process
from support.datasets import write_mnist


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder with small_dataset() in MNIST's files."""
    folder = tmp_path / "data"
    folder.mkdir()
    return write_mnist(folder)


@pytest.fixture
def run_train(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """`mpsmnist.train` in this process, on little data."""
    return in_this_process(main, ("--data-dir", data_dir, *SMALL), capsys)
