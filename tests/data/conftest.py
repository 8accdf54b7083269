"""What loading meets: an empty cache, mirrors on this machine, and digits that are quick to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mpsmnist.data.sources import SOURCES
from support.http_faults import FaultyServer, closed_port, serving
from support.small_mnist import (
    ARRAYS,
    FILES,
    small_mnist,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, none of the user's settings, and a mirror that refuses to connect."""
    for name in ("MPSMNIST_DATA_DIR", "MPSMNIST_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("MPSMNIST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(f"http://127.0.0.1:{closed_port()}/"))
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with serving(FILES) as running:
        yield running


@pytest.fixture
def use_mirrors(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call it with behaviours of `server` to make those the mirrors of mnist, in that order."""

    def use(*behaviours: str) -> None:
        monkeypatch.setitem(SOURCES, "mnist", small_mnist(*map(server.mirror, behaviours)))

    return use


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replaces the drawing of synthetic digits with something quick; the list of the seeds drawn."""
    seeds: list[int] = []

    def generate(seed: int = 0) -> tuple[np.ndarray, ...]:
        seeds.append(seed)
        return tuple(array ^ np.uint8(1) for array in ARRAYS.values())

    monkeypatch.setattr("mpsmnist.data.synthetic.generate", generate)
    return seeds
