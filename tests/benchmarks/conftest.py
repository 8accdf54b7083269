"""Fixtures of the benchmarks' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import workload
from harness.race import Protocol
from support import benchmarks


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small dataset in MNIST's files."""
    folder = tmp_path_factory.mktemp("digits")
    benchmarks.write_digits(folder)
    return folder


@pytest.fixture
def work(digits: Path, tmp_path: Path) -> workload.Workload:
    """Batches of two from it."""
    return workload.make(workload.read_dataset("mnist", digits), "step", 2, tmp_path / "work")


@pytest.fixture
def protocol() -> Protocol:
    """The smallest measurement that has everything in it."""
    return Protocol(
        threads=1,
        rounds=2,
        steps=3,
        turn_seconds=0.1,
        warm_up_steps=1,
        warm_up_seconds=0.1,
        settle_seconds=0.01,
    )
