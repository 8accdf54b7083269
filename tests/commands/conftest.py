"""Ways to run the command lines in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mpsmnist.train import main
from support.commands import SMALL, Call
from support.datasets import write_mnist


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """call(main, ...) calls main(...) and returns its exit code and what it printed to stdout and stderr."""

    def run(function: Callable[..., int], *arguments: object, **options: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = function(*arguments, **options)
        except SystemExit as exit_:  # argparse
            code = int(exit_.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder with small_dataset() in MNIST's files."""
    folder = tmp_path / "data"
    folder.mkdir()
    return write_mnist(folder)


@pytest.fixture
def run_train(call: Call, data_dir: Path) -> Call:
    """`mpsmnist.train` on little data; arguments come after the usual ones, and so override them."""
    usual = ("--data-dir", data_dir, *SMALL)
    return lambda *arguments: call(main, [str(argument) for argument in (*usual, *arguments)])
