"""Fixtures shared by the behaviour tests: each test runs once per device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import mpsmnist
from support import examples

DEVICES = ("cpu", "mps")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", choices=DEVICES, help="run the behaviour tests on this device alone")


def pytest_report_header() -> list[str]:
    lines = [f"mpsmnist {mpsmnist.__version__}, devices: {', '.join(mpsmnist.devices())}"]
    for name in DEVICES:
        if name not in mpsmnist.devices():
            with pytest.raises(mpsmnist.DeviceError) as refusal:
                mpsmnist.Trainer(device=name)
            lines.append(f"not tested here: {refusal.value}")
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--device")
        metafunc.parametrize(
            "device", [asked] if asked else mpsmnist.devices(), indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """Each device here, or the one that --device names; the header says which are left out, and why."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def make_trainer(device: str) -> Callable[..., mpsmnist.Trainer]:
    """Trainer(device=device, ...), seeded so that the examples leave no decision unclear."""

    def make(**options: Any) -> mpsmnist.Trainer:
        return mpsmnist.Trainer(**{"device": device, "seed": examples.TRAINER_SEED} | options)

    return make
