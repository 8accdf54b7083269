"""Which GPU device "mps" is: "auto" takes Apple silicon alone, the rest is used by name or refused by name.

Only the host implementation of tests/objc_host can be told which GPUs there are: only its build runs these.
"""

from __future__ import annotations

import numpy as np
import pytest

import mpsmnist
from support import examples, host
from support.host import DEVICE, FAMILY, GPU_APPLE, GPU_DISCRETE, GPU_INTEL, GPU_PARAVIRTUAL

HOST = host.load()
APPLE, PARAVIRTUAL, INTEL = "objc_host", "Apple Paravirtual device", "Intel(R) Iris(TM) Plus Graphics"
CARD_REFUSED = (
    'the GPU "AMD Radeon Pro 5500M" has memory of its own, and device "mps" needs one that shares the '
    "host's, as on Apple silicon"
)


@pytest.fixture(autouse=True)
def no_faults_left():
    HOST.objc_host_reset()
    yield
    HOST.objc_host_reset()


def not_apples(name, families):
    return (
        f'the GPU "{name}" is not one of Apple silicon (its families: {families}): a virtual machine\'s '
        'or Intel\'s, which is used only when device "mps" is asked for by name'
    )


# GPUs, whether the first is the default one, what devices() says, and the GPU that "mps" is.
MACHINES = {
    "Apple silicon": ((GPU_APPLE,), True, ["mps", "cpu"], APPLE),
    "Apple silicon over ssh": ((GPU_APPLE,), False, ["mps", "cpu"], APPLE),
    "virtual machine": ((GPU_PARAVIRTUAL,), True, ["cpu", "mps"], PARAVIRTUAL),
    "virtual machine over ssh": ((GPU_PARAVIRTUAL,), False, ["cpu", "mps"], PARAVIRTUAL),
    "Intel": ((GPU_INTEL,), True, ["cpu", "mps"], INTEL),
    "Intel with a card": ((GPU_DISCRETE, GPU_INTEL), True, ["cpu", "mps"], INTEL),
    "Apple silicon among others": ((GPU_DISCRETE, GPU_INTEL, GPU_APPLE), True, ["mps", "cpu"], APPLE),
    "a card": ((GPU_DISCRETE,), True, ["cpu"], None),
    "a card over ssh": ((GPU_DISCRETE,), False, ["cpu"], None),
    "no GPU": ((), True, ["cpu"], None),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_which_gpu(machine):
    gpus, default, devices, gpu = MACHINES[machine]
    host.set_gpus(HOST, *gpus, default=default)
    assert mpsmnist.devices() == devices
    assert mpsmnist.Trainer().device == devices[0]
    facts = mpsmnist.describe_devices()["mps"]
    assert facts.get("gpu") == gpu
    assert ("passed_over" in facts) == (devices == ["cpu", "mps"])
    if gpu is None:
        assert list(facts) == ["unavailable"]
        with pytest.raises(mpsmnist.DeviceError, match=r'^device "mps" is not available: ') as refusal:
            mpsmnist.Trainer(device="mps")
        assert facts["unavailable"] in str(refusal.value)
    else:
        assert facts["unified_memory"] == "yes"
        assert (CARD_REFUSED in facts.get("other_gpus", "")) == (GPU_DISCRETE in gpus)
        assert np.isfinite(mpsmnist.Trainer(device="mps", init="he").step(*examples.discs(2, seed=1)))


def test_why_auto_passes_a_gpu_over():
    host.set_gpus(HOST, GPU_PARAVIRTUAL)
    facts = mpsmnist.describe_devices()["mps"]
    assert facts["families"] == "Apple5"
    assert facts["passed_over"] == not_apples(PARAVIRTUAL, "Apple5")


# GPUs, the one taken, and what is said of the others.
OTHERS = {
    "Intel, Apple": ((GPU_INTEL, GPU_APPLE), APPLE, not_apples(INTEL, "Mac2")),
    "virtual, Apple": ((GPU_PARAVIRTUAL, GPU_APPLE), APPLE, not_apples(PARAVIRTUAL, "Apple5")),
    "Apple, Intel": ((GPU_APPLE, GPU_INTEL), APPLE, not_apples(INTEL, "Mac2")),
    "Intel, virtual": (
        (GPU_INTEL, GPU_PARAVIRTUAL),
        INTEL,
        f'the GPU "{PARAVIRTUAL}" comes after the one taken',
    ),
    "card, Intel, Apple": (
        (GPU_DISCRETE, GPU_INTEL, GPU_APPLE),
        APPLE,
        f"{CARD_REFUSED}; {not_apples(INTEL, 'Mac2')}",
    ),
}


@pytest.mark.parametrize("machine", OTHERS)
def test_every_gpu_not_taken_is_named(machine):
    gpus, taken, others = OTHERS[machine]
    host.set_gpus(HOST, *gpus)
    facts = mpsmnist.describe_devices()["mps"]
    assert (facts["gpu"], facts["other_gpus"]) == (taken, others)


def test_every_gpu_refused_is_named():
    host.set_gpus(HOST, GPU_DISCRETE)
    assert mpsmnist.describe_devices()["mps"] == {"unavailable": CARD_REFUSED}


@pytest.mark.parametrize("call", [DEVICE, FAMILY])
def test_a_gpu_that_metal_throws_about_is_not_available(call):
    reason = "[mps] an Apple framework raised NSGenericException: no such thing"
    HOST.objc_host_throw(call, 1, b"NSGenericException", b"no such thing")
    assert mpsmnist.devices() == ["cpu"]
    HOST.objc_host_throw(call, 1, b"NSGenericException", b"no such thing")
    assert mpsmnist.describe_devices()["mps"] == {"unavailable": reason}
    assert mpsmnist.devices() == ["mps", "cpu"]


def test_facts_of_a_usable_gpu():
    facts = mpsmnist.describe_devices()["mps"]
    assert facts["gpu"] == APPLE
    assert "Apple7" in facts["families"].split(", ")
    assert int(facts["working_set_bytes"]) > 0
    assert facts.keys().isdisjoint({"passed_over", "other_gpus", "unavailable"})
