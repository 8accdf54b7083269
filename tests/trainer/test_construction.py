"""Making a Trainer, and its properties."""

from __future__ import annotations

import os

import numpy as np
import pytest

import mpsmnist
from support import checks, examples


def test_devices_are_named_best_first():
    devices = mpsmnist.devices()
    assert devices in (["cpu"], ["mps", "cpu"], ["cpu", "mps"])  # the last in a virtual machine on a Mac
    assert mpsmnist.Trainer().device == mpsmnist.Trainer(device="auto").device == devices[0]


def test_a_list_of_devices_is_the_callers():
    mpsmnist.devices().clear()
    assert "cpu" in mpsmnist.devices()


def test_properties_say_what_was_asked_for(make_trainer, device):
    trainer = make_trainer(learning_rate=0.125, momentum=0.75, num_classes=47, seed=2**64 - 1, init="he")
    assert trainer.device == device
    assert trainer.learning_rate == 0.125
    assert trainer.momentum == 0.75
    assert trainer.num_classes == 47
    assert trainer.seed == 2**64 - 1
    assert trainer.steps == 0
    assert trainer.threads >= 1


def test_arguments_by_position_and_numpy_scalars(device):
    by_position = mpsmnist.Trainer(device, 0.125, 0.5, 26, 7, "he", 2)
    by_name = mpsmnist.Trainer(
        device=device,
        learning_rate=np.float32(0.125),
        momentum=np.float64(0.5),
        num_classes=np.int64(26),
        seed=np.uint64(7),
        init="he",
        threads=np.int32(2),
    )
    for name in ("device", "learning_rate", "momentum", "num_classes", "seed", "threads"):
        assert getattr(by_name, name) == getattr(by_position, name)
    checks.assert_same_bits(checks.flat_state(by_name), checks.flat_state(by_position))


@pytest.mark.parametrize("name", ["device", "momentum", "num_classes", "seed", "steps", "threads"])
def test_properties_are_read_only(make_trainer, name):
    trainer = make_trainer()
    value = getattr(trainer, name)
    with pytest.raises(AttributeError, match=r"has no setter|can't set"):
        setattr(trainer, name, value)


def test_default_threads_are_the_cores_of_this_process():
    trainer = mpsmnist.Trainer(device="cpu")
    assert trainer.threads == mpsmnist.Trainer(device="cpu", threads=None).threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert 1 <= trainer.threads <= cores


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"device": "cuda"}, ValueError, r"device.*cuda.*cpu"),
        ({"device": "CPU"}, ValueError, r"device.*CPU.*cpu"),
        ({"device": ""}, ValueError, r"device.*cpu"),
        ({"device": None}, TypeError, r"^device: None; expected a string$"),
        ({"learning_rate": float("nan")}, ValueError, r"learning_rate.*nan"),
        ({"learning_rate": float("inf")}, ValueError, r"learning_rate.*inf"),
        ({"learning_rate": 1e300}, ValueError, r"learning_rate"),
        (
            {"learning_rate": 10**400},
            ValueError,
            r"^learning_rate: 10+\.\.\.0+; expected a number that a float32",
        ),
        ({"learning_rate": -0.5}, ValueError, r"learning_rate.*-0\.5"),
        ({"learning_rate": "fast"}, TypeError, r"^learning_rate: 'fast'; expected a number$"),
        ({"momentum": -0.5}, ValueError, r"momentum.*-0\.5"),
        ({"momentum": 1.0}, ValueError, r"momentum.*1.*less than 1"),
        ({"momentum": float("nan")}, ValueError, r"momentum.*nan"),
        ({"num_classes": 1}, ValueError, r"num_classes.*1.*expected 2"),
        ({"num_classes": 0}, ValueError, r"num_classes.*0"),
        ({"num_classes": -10}, ValueError, r"num_classes.*-10"),
        ({"num_classes": 10**30}, ValueError, r"^num_classes: 10{30}; expected 2 to 100000$"),
        ({"num_classes": 10**9}, ValueError, r"num_classes.*1000000000"),
        ({"num_classes": 10.5}, TypeError, r"^num_classes: 10\.5; expected an integer$"),
        ({"seed": -1}, ValueError, r"seed.*-1.*2\*\*64"),
        ({"seed": 2**64}, ValueError, r"seed.*18446744073709551616.*2\*\*64"),
        ({"seed": 10**5000}, ValueError, r"^seed: .*; expected 0 to 2\*\*64 - 1$"),
        ({"seed": 1.5}, TypeError, r"seed.*1\.5.*integer"),
        ({"init": "xavier"}, ValueError, r"init.*xavier.*uniform.*he"),
        ({"init": None}, TypeError, r"^init: None; expected a string$"),
        ({"threads": 0}, ValueError, r"threads.*0.*1 "),
        ({"threads": -2}, ValueError, r"threads.*-2"),
        ({"threads": 10**30}, ValueError, r"^threads: 10{30}; expected 1 or more"),
        ({"threads": 10**6}, ValueError, r"threads.*1000000"),
        ({"threads": "all"}, TypeError, r"^threads: 'all'; expected an integer$"),
        ({"standardized": 1}, TypeError, r"^standardized: 1; expected True or False$"),
        ({"standardized": None}, TypeError, r"^standardized: None; expected True or False$"),
        (
            {"batch_size": 16},
            TypeError,
            r"^Trainer\(\): no argument is called batch_size; expected Trainer\(device=",
        ),
    ],
    ids=lambda value: repr(value) if value != {"seed": 10**5000} else "a seed of 5000 digits",
)
def test_bad_options(options, error, words):
    with pytest.raises(error, match=words):
        mpsmnist.Trainer(**{"device": "cpu"} | options)


def test_mps_without_metal_is_a_device_error():
    if "mps" in mpsmnist.devices():
        pytest.skip("this build has device mps")
    with pytest.raises(mpsmnist.DeviceError, match=r'"mps" is not available: .*Metal') as caught:
        mpsmnist.Trainer(device="mps")
    assert isinstance(caught.value, mpsmnist.Error)
    assert not isinstance(caught.value, ValueError)


def test_a_trainer_is_made_once():
    """A second __init__ would free the network under steps in flight: it does nothing."""
    trainer = mpsmnist.Trainer(device="cpu")
    trainer.__init__(device="cpu", num_classes=26)
    assert trainer.num_classes == 10
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Derived", (mpsmnist.Trainer,), {})
    with pytest.raises(TypeError, match="No constructor defined"):
        mpsmnist.PendingLoss()
    with pytest.raises(TypeError, match="No constructor defined"):
        mpsmnist.Gradients()


@pytest.mark.parametrize("rate", [0.5, np.float32(0.5), np.float64(0.5), 0, 1])
def test_learning_rate_can_be_set(make_trainer, rate):
    trainer = make_trainer(init="he")
    trainer.learning_rate = rate
    assert trainer.learning_rate == rate
    images, labels = examples.discs(2)
    before = checks.flat_state(trainer)
    gradients = trainer.gradients(images, labels)
    trainer.step(images, labels)
    # The update rounds once or twice: a unit in the last place of weights, whose norm this is relative to.
    expected = before.astype(np.float64) - float(rate) * gradients.flat
    assert checks.relative_error(checks.flat_state(trainer), expected) < 2.0**-22


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0, 1e300])
def test_bad_learning_rate_is_refused(make_trainer, rate):
    trainer = make_trainer(learning_rate=0.25)
    with pytest.raises(ValueError, match="learning_rate"):
        trainer.learning_rate = rate
    with pytest.raises(TypeError, match=r"^learning_rate: 'fast'; expected a number$"):
        trainer.learning_rate = "fast"
    assert trainer.learning_rate == 0.25


def test_steps_count_completed_updates(make_trainer):
    trainer = make_trainer(init="he")
    images, labels = examples.discs(2)
    trainer.step(images, labels)
    trainer.step_async(images, labels)
    trainer.step_async(images, labels)
    assert trainer.steps == 3
    trainer.run(images, labels, [[0, 1], [1, 0]])
    assert trainer.steps == 5
    trainer.apply_gradients(trainer.gradients(images, labels))
    assert trainer.steps == 6
    trainer.evaluate(images, labels)
    trainer.load_state_dict(trainer.state_dict())
    assert trainer.steps == 6
