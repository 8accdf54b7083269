"""Ways to run the command lines in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mpsmnist.data.sources import SOURCES
from mpsmnist.train import main
from support.commands import SMALL, Call
from support.datasets import write_mnist
from support.http_faults import FaultyServer, closed_port, serving
from support.small_sets import small_set


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


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """A mirror on this machine that has MNIST, QMNIST and two sets of EMNIST; the cache is empty."""
    for name in ("MPSMNIST_DATA_DIR", "MPSMNIST_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("MPSMNIST_CACHE_DIR", str(tmp_path / "cache"))
    small = {name: small_set(name) for name in ("mnist", "qmnist", "emnist-letters", "emnist-balanced")}
    with serving({file: data for each in small.values() for file, data in each.served.items()}) as server:
        for name, source in list(SOURCES.items()):
            refusing = dataclasses.replace(source, mirrors=(f"http://127.0.0.1:{closed_port()}/",))
            served = small[name].from_mirrors(server.mirror("good")) if name in small else refusing
            monkeypatch.setitem(SOURCES, name, served)
        yield server
