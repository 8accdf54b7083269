"""Device mps compiles a program for each purpose and batch size, and keeps those of the four sizes used last.

Only the host implementation of tests/objc_host counts compilations, so these run on its build alone.
"""

from __future__ import annotations

import pytest

import mpsmnist
from support import examples, host

HOST = host.load()
KEPT = 4  # ProgramCache::kCapacity

METHODS = ["step", "gradients", "evaluate"]


@pytest.fixture
def trainer():
    return mpsmnist.Trainer(device="mps", seed=examples.TRAINER_SEED, init="he")


def compiled_by(trainer, method, *sizes):
    """How many programs the host compiles for batches of these sizes, one after the other."""
    before = HOST.objc_host_count(host.COMPILED)
    for n in sizes:
        getattr(trainer, method)(*examples.discs(n))
    return HOST.objc_host_count(host.COMPILED) - before


@pytest.mark.parametrize("method", METHODS)
def test_each_size_is_compiled_once(trainer, method):
    assert compiled_by(trainer, method, 1, 2, 3, 4) == KEPT
    assert compiled_by(trainer, method, 4, 1, 3, 2, 2) == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_fifth_size_takes_the_place_of_the_one_unused_longest(trainer, method):
    compiled_by(trainer, method, 1, 2, 3, 4)
    compiled_by(trainer, method, 1, 5)  # 2 is now the one unused longest: neither the oldest nor the newest
    assert compiled_by(trainer, method, 5, 1, 3, 4) == 0
    assert compiled_by(trainer, method, 2) == 1


def test_each_purpose_has_its_own(trainer):
    for method in METHODS:
        assert compiled_by(trainer, method, 1, 2, 3, 4) == KEPT
    for method in METHODS:
        assert compiled_by(trainer, method, 1, 2, 3, 4) == 0


@pytest.mark.parametrize("method", METHODS)
def test_programs_that_lost_their_place_are_freed(trainer, method):
    def live_after(*sizes):
        compiled_by(trainer, method, *sizes)
        while HOST.objc_host_count(host.IN_FLIGHT) > 0:
            pass
        return HOST.objc_host_count(host.LIVE_OBJECTS)

    four = live_after(1, 2, 3, 4)
    assert live_after(5, 6, 7, 8) == four
