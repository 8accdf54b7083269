"""Fixtures shared by the behaviour tests: every one of them runs once per device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import examples
import mpsmnist

DEVICES = ("cpu", "mps")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", choices=DEVICES, help="run the behaviour tests on this device alone")


def pytest_report_header() -> str:
    return f"mpsmnist {mpsmnist.__version__}, devices: {', '.join(mpsmnist.devices())}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--device")
        metafunc.parametrize("device", [asked] if asked else DEVICES, indirect=True, scope="session")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """Each device's name; those that this build or machine lacks are skipped, and say so."""
    name: str = request.param
    if name not in mpsmnist.devices():
        try:
            mpsmnist.Trainer(device=name)
        except mpsmnist.DeviceError as error:
            if request.config.getoption("--device"):
                pytest.fail(f"--device {name}: {error}")
            pytest.skip(str(error))
        pytest.fail(f"{name} is not in devices(), yet a Trainer takes it")
    return name


@pytest.fixture(scope="session")
def make_trainer(device: str) -> Callable[..., mpsmnist.Trainer]:
    """Trainer(device=device, ...), seeded so that the examples leave no decision unclear."""

    def make(**options: Any) -> mpsmnist.Trainer:
        return mpsmnist.Trainer(**{"device": device, "seed": examples.TRAINER_SEED} | options)

    return make
