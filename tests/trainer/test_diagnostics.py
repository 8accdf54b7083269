"""What a Trainer's device has done, and what is known of devices."""

from __future__ import annotations

import numpy as np
import pytest

import mpsmnist
from support import examples

COUNTS = {"compilations", "runs", "failed_runs", "command_buffers", "allocated_bytes"}
SECONDS = {"compile_seconds", "encode_seconds", "gpu_seconds"}


def test_a_cpu_compiles_and_queues_nothing():
    trainer = mpsmnist.Trainer(device="cpu")
    trainer.step(*examples.discs(2, seed=1))
    assert trainer.diagnostics() == dict.fromkeys(COUNTS | SECONDS, 0)


def test_what_a_gpu_has_done_is_counted(device, make_trainer):
    if device == "cpu":
        pytest.skip("a CPU compiles and queues nothing")
    trainer = make_trainer()
    before = trainer.diagnostics()
    assert before.keys() == COUNTS | SECONDS
    assert before["allocated_bytes"] > 4 * 3_274_634
    assert all(before[name] == 0 for name in before.keys() - {"allocated_bytes"})
    images, labels = examples.discs(4, seed=1)
    for _ in range(3):
        trainer.step_async(images, labels)
    after = trainer.diagnostics()  # waits for the steps
    assert after["compilations"] == 1
    assert after["runs"] == 3
    assert after["failed_runs"] == 0
    assert after["command_buffers"] >= 3
    assert all(after[name] > 0 for name in SECONDS)
    trainer.gradients(images, labels)
    trainer.predict(images)
    last = trainer.diagnostics()
    assert last["compilations"] == 3
    assert last["runs"] == 5
    assert all(last[name] > after[name] for name in SECONDS)


def test_counts_are_integers_and_seconds_floats(make_trainer):
    for name, value in make_trainer().diagnostics().items():
        assert type(value) is (int if name in COUNTS else float), name


def test_every_known_device_is_described():
    devices = mpsmnist.describe_devices()
    assert list(devices) == ["mps", "cpu"]
    assert int(devices["cpu"]["cores"]) >= 1
    assert devices["cpu"]["instruction_set"]
    for name, facts in devices.items():
        assert all(isinstance(value, str) and value for value in facts.values())
        assert ("unavailable" in facts) == (name not in mpsmnist.devices())


def test_a_cpu_that_cannot_be_used_says_why(monkeypatch):
    monkeypatch.setenv("MPSMNIST_ISA", "mmx")
    assert "mmx" in mpsmnist.describe_devices()["cpu"]["unavailable"]


def test_diagnostics_tell_of_a_failure_that_nobody_asked_for(device, make_trainer):
    """They wait for the steps in flight, as everything does that looks at the weights."""
    trainer = make_trainer()
    pending = trainer.step_async(*examples.discs(4, seed=1))
    trainer.diagnostics()
    assert pending.done()
    assert np.isfinite(pending.result())
