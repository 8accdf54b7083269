"""Which device is the fastest: told by a clock that the tests turn."""

from __future__ import annotations

import logging
import types
from collections.abc import Callable

import numpy as np
import pytest

import mpsmnist
from mpsmnist import fastest
from mpsmnist.train import TrainConfig, train
from support.datasets import small_dataset
from support.training import SMALL

Seconds = Callable[[int], float]  # that the step of a number, from 0, takes


class Machine:
    """Devices and a clock: a step takes what is said of its device and its number there."""

    def __init__(self, **devices: Seconds | Exception) -> None:
        self.now = 0.0
        self.devices = devices
        self.runs: list[tuple[str, int, int]] = []  # devices, steps and images of each

    def trainer(self, name: str, **options: object) -> Machine.Trainer:
        found = self.devices[name]
        if isinstance(found, Exception):
            raise found
        self.options = options
        return Machine.Trainer(self, name, found)

    class Trainer:
        def __init__(self, machine: Machine, name: str, seconds: Seconds) -> None:
            self.machine, self.name, self.seconds, self.steps = machine, name, seconds, 0

        def run(self, images: object, labels: object, batches: object) -> None:
            steps, size = np.shape(batches)
            assert np.shape(images) == (size, 28, 28)
            assert np.shape(labels) == (size,)
            self.machine.runs.append((self.name, steps, size))
            self.machine.now += sum(self.seconds(self.steps + step) for step in range(steps))
            self.steps += steps


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[..., Machine]:
    def make(**devices: Seconds | Exception) -> Machine:
        made = Machine(**devices)
        monkeypatch.setattr(fastest, "devices", lambda: list(devices))
        monkeypatch.setattr(fastest, "Trainer", made.trainer)
        monkeypatch.setattr(fastest, "time", types.SimpleNamespace(perf_counter=lambda: made.now))
        caplog.set_level(logging.INFO, "mpsmnist")
        return made

    return make


def test_the_fastest_is_named_with_the_figures(
    machine: Callable[..., Machine], caplog: pytest.LogCaptureFixture
) -> None:
    made = machine(mps=lambda step: 0.0021, cpu=lambda step: 0.0007)
    assert mpsmnist.fastest_device(4, threads=3) == "cpu"
    assert made.options["threads"] == 3
    assert caplog.messages == ["device cpu: a step with 4 images takes 2.1 ms on mps, 0.7 ms on cpu"]
    assert {size for _, _, size in made.runs} == {4}


def test_the_first_steps_do_not_count(machine: Callable[..., Machine]) -> None:
    """They compile graphs."""
    machine(mps=lambda step: 3.0 if step == 0 else 0.001, cpu=lambda step: 0.002)
    assert mpsmnist.fastest_device() == "mps"


def test_rounds_take_turns_and_a_slow_one_does_not_decide(machine: Callable[..., Machine]) -> None:
    made = machine(mps=lambda step: 9.0 if step == 60 else 0.001, cpu=lambda step: 0.002)
    assert mpsmnist.fastest_device() == "mps"
    assert [(name, steps) for name, steps, _ in made.runs[4:]] == [("mps", 50), ("cpu", 25)] * 5


def test_a_device_that_cannot_is_left_out(
    machine: Callable[..., Machine], caplog: pytest.LogCaptureFixture
) -> None:
    machine(mps=mpsmnist.DeviceError("no more memory"), cpu=lambda step: 0.002)
    assert mpsmnist.fastest_device() == "cpu"
    assert caplog.messages[0] == "device mps is left out: no more memory"


def test_if_none_can_it_says_why(machine: Callable[..., Machine]) -> None:
    refusal = ValueError("threads: 0; expected 1 or more")
    machine(mps=refusal, cpu=refusal)
    with pytest.raises(ValueError, match=r"^threads: 0"):
        mpsmnist.fastest_device(threads=0)


def test_the_only_one_is_not_timed(machine: Callable[..., Machine], caplog: pytest.LogCaptureFixture) -> None:
    made = machine(cpu=lambda step: 0.002)
    assert mpsmnist.fastest_device() == "cpu"
    assert made.runs == []
    assert caplog.messages == ["device cpu: there is no other here"]


def test_real_devices_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "ROUND_SECONDS", 0)
    monkeypatch.setattr(fastest, "devices", lambda: ["cpu", "cpu"])
    assert mpsmnist.fastest_device(1) == "cpu"


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_bad_batch_sizes(size: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        mpsmnist.fastest_device(size)


def test_a_run_takes_it(machine: Callable[..., Machine]) -> None:
    """Its own Trainer is a real one."""
    machine(cpu=lambda step: 0.001, other=lambda step: 0.002)
    config = TrainConfig(**SMALL | {"device": "fastest"}, steps=1)
    assert train(config, dataset=small_dataset()).device == "cpu"
    assert config.saved_options()["device"] == "fastest"
