"""Synthetic digits: drawn once, and what `auto` falls back to."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mpsmnist import DatasetError
from mpsmnist.data import SyntheticDataWarning, load
from support.http_faults import FaultyServer
from support.small_mnist import (
    ARRAYS,
    FIELDS,
    NAMES,
)


def test_synthetic_is_drawn_once(cache: Path, drawings: list[int]) -> None:
    first, second = load("synthetic"), load("synthetic")
    assert drawings == [0]
    assert (first.name, first.num_classes, first.source) == ("synthetic", 10, "generated")
    assert second.source == str(cache / "synthetic" / "synthetic.npz")
    for field, array in zip(FIELDS, ARRAYS.values(), strict=True):
        np.testing.assert_array_equal(getattr(first, field), array ^ np.uint8(1))
        np.testing.assert_array_equal(getattr(second, field), array ^ np.uint8(1))


def test_synthetic_of_another_version_is_drawn_anew(
    cache: Path, drawings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    load("synthetic")
    monkeypatch.setattr("mpsmnist.data.synthetic.VERSION", 12345)
    for _ in range(2):
        load("synthetic")
    assert drawings == [0, 0]
    assert {path.name for path in (cache / "synthetic").iterdir()} == {".lock", "synthetic.npz"}


@pytest.mark.parametrize("platformdirs", ["old", "new"])
def test_a_user_without_a_home(
    drawings: list[int], monkeypatch: pytest.MonkeyPatch, platformdirs: str
) -> None:
    def user_cache_dir(*_: object, **__: object) -> str:
        if platformdirs == "new":
            raise RuntimeError("could not determine the home directory")
        return "~/.cache/mpsmnist"

    monkeypatch.delenv("MPSMNIST_CACHE_DIR", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", user_cache_dir)
    reason = "this user has no home folder for the cache: set HOME or MPSMNIST_CACHE_DIR"
    with pytest.warns(UserWarning, match=f"not kept for the next run: {reason}"):
        assert load("synthetic").source == "generated"
    assert drawings == [0]
    with pytest.raises(DatasetError, match=f"mnist is not in the cache: {reason}"):
        load("mnist", offline=True)


def test_damaged_synthetic_digits_are_drawn_anew(cache: Path, drawings: list[int]) -> None:
    load("synthetic")
    path = cache / "synthetic" / "synthetic.npz"
    path.write_bytes(path.read_bytes()[:-1000])
    repaired = load("synthetic")
    assert (drawings, repaired.source) == ([0, 0], "generated")
    assert load("synthetic").source == str(path)
    assert drawings == [0, 0]


def test_synthetic_has_no_folder(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=f"data_dir is '{tmp_path}', but synthetic digits need no data folder$"
    ):
        load("synthetic", data_dir=tmp_path)


@pytest.mark.usefixtures("drawings")
def test_auto_falls_back_with_a_warning() -> None:
    start = time.monotonic()
    with pytest.warns(SyntheticDataWarning) as caught:
        dataset = load()
    assert time.monotonic() - start < 5
    assert dataset.name == "synthetic"
    text = str(caught[0].message)
    assert [warning.filename for warning in caught] == [__file__]
    expected = (
        "NOT real MNIST",
        "synthetic digits, drawn by the package",
        "Connection refused",
        "--data-dir",
    )
    for part in (*expected, "mnist is not in the cache", NAMES[0], "MPSMNIST_DATA_DIR"):
        assert part in text
    assert len(text.splitlines()) <= 4  # the command adds two lines of stars
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.usefixtures("drawings")
def test_auto_offline_falls_back_without_the_network(
    server: FaultyServer, use_mirrors: Callable[..., None]
) -> None:
    use_mirrors("good")
    with pytest.warns(SyntheticDataWarning, match=r"network may not be used \(offline\)"):
        assert load(offline=True).name == "synthetic"
    assert server.probes == server.requests == []


@pytest.mark.usefixtures("drawings")
def test_what_takes_long_is_told(
    server: FaultyServer,
    use_mirrors: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.INFO, "mpsmnist.data")
    use_mirrors("missing", "broken")
    with pytest.warns(SyntheticDataWarning, match=r"all 2 mirrors failed \(HTTP status 404 Not Found\)"):
        load("auto")
    host = f"127.0.0.1:{server.server_port}"
    assert caplog.messages == [
        "mnist is not in the cache: asking its mirrors (2)",
        f"downloading {NAMES[0]} from {host}",
        f"{host} failed: HTTP status 404 Not Found",
        f"downloading {NAMES[0]} from {host}",
        f"{host} failed: HTTP status 500 Internal Server Error",
        "drawing 70,000 synthetic digits, which takes some seconds",
    ]
    caplog.clear()
    load("synthetic")
    assert caplog.messages == []  # they are in the cache now
    assert capfd.readouterr() == ("", "")
