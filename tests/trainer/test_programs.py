"""Device mps compiles a program for each purpose and batch size, and keeps those of the last eight sizes.

Predictions pad their batches to powers of two. Only the host implementation of tests/objc_host counts what is
compiled and encoded, so these run on its build alone.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import mpsmnist
from support import checks, examples, host

HOST = host.load()
KEPT = 8  # ProgramCache::kCapacity
SIZES = range(1, KEPT + 1)
CHUNK = 256  # of predictions

METHODS = ["step", "gradients"]


@pytest.fixture(autouse=True)
def arithmetic_again():
    yield
    HOST.objc_host_reset()


@pytest.fixture
def trainer():
    return mpsmnist.Trainer(device="mps", seed=examples.TRAINER_SEED, init="he")


def images_and_labels(n):
    return np.zeros((n, 784), np.uint8), np.zeros(n, np.uint8)


def counted(counter, call):
    """How far the host's counter goes up in call()."""
    before = HOST.objc_host_count(counter)
    call()
    return HOST.objc_host_count(counter) - before


def compiled_by(trainer, method, *sizes):
    """How many programs the host compiles for batches of these sizes, one after the other."""
    HOST.objc_host_set_arithmetic(0)
    return counted(host.COMPILED, lambda: [getattr(trainer, method)(*images_and_labels(n)) for n in sizes])


@pytest.mark.parametrize("method", METHODS)
def test_each_size_is_compiled_once(trainer, method):
    assert compiled_by(trainer, method, *SIZES) == KEPT
    assert compiled_by(trainer, method, *reversed(SIZES), 2, 2) == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_ninth_size_takes_the_place_of_the_one_unused_longest(trainer, method):
    compiled_by(trainer, method, *SIZES)
    compiled_by(trainer, method, 1, 9)  # 2 is now the one unused longest: neither the oldest nor the newest
    assert compiled_by(trainer, method, 9, 1, 3, 4, 5, 6, 7, 8) == 0
    assert compiled_by(trainer, method, 2) == 1


def test_each_purpose_has_its_own(trainer):
    for method in METHODS:
        assert compiled_by(trainer, method, *SIZES) == KEPT
    for method in METHODS:
        assert compiled_by(trainer, method, *SIZES) == 0


@pytest.mark.parametrize("method", METHODS)
def test_programs_that_lost_their_place_are_freed(trainer, method):
    def live_after(*sizes):
        compiled_by(trainer, method, *sizes)
        while HOST.objc_host_count(host.IN_FLIGHT) > 0:
            pass
        return HOST.objc_host_count(host.LIVE_OBJECTS)

    eight = live_after(*SIZES)
    assert live_after(*range(9, 17)) == eight


@pytest.mark.parametrize("method", ["predict", "evaluate"])
def test_predictions_of_any_sizes_share_a_few_programs(trainer, method):
    """2, 4, ..., 256, and not 1: what is vector-shaped is suspect on macOS 26 (pytorch#188438)."""
    HOST.objc_host_set_arithmetic(0)
    images, labels = images_and_labels(CHUNK + 44)

    def predict(n):
        trainer.predict(images[:n]) if method == "predict" else trainer.evaluate(images[:n], labels[:n])

    assert counted(host.COMPILED, lambda: [predict(1), predict(2)]) == 1
    sizes = np.random.default_rng(0).permutation(np.arange(1, len(images) + 1))
    assert counted(host.COMPILED, lambda: [predict(n) for n in sizes]) == math.log2(CHUNK) - 1
    assert counted(host.COMPILED, lambda: [predict(n) for n in sizes]) == 0


@pytest.mark.parametrize("n", [1, 3, 5, 9, 16])
def test_padding_changes_no_prediction(n):
    """The rows after the images: none, another batch's, or in a buffer that nobody has written to, NaNs."""
    images, labels = examples.discs(16)
    fresh, used = (mpsmnist.Trainer(device="mps", init="he") for _ in range(2))
    used.gradients(images, labels)
    expected = used.predict(images)[:n]
    assert counted(host.NAN_FEEDS, lambda: fresh.predict(images[:n])) == 0
    checks.assert_same_bits(fresh.predict(images[:n]), expected)
    checks.assert_same_bits(used.predict(images[:n]), expected)


def test_the_largest_batch_is_taken(trainer):
    """No product, convolution or array of it is one that the host knows hardware to get wrong."""
    HOST.objc_host_set_arithmetic(0)
    batch = images_and_labels(16_384)
    trainer.step(*batch)
    trainer.gradients(*batch)
    trainer.run(*images_and_labels(1), np.zeros((2, 16_384), np.int64))
    assert trainer.steps == 3


def test_the_most_classes_are_taken():
    trainer = mpsmnist.Trainer(device="mps", init="he", num_classes=32_766)
    images, _ = examples.discs(2)
    assert trainer.step(images, [0, 32_765]) == pytest.approx(math.log(32_766), rel=0.2)


def test_twenty_thousand_images_are_predicted(trainer):
    """More than any batch may have: Trainer predicts 256 at a time."""
    HOST.objc_host_set_arithmetic(0)
    images, labels = images_and_labels(20_000)
    assert counted(host.COMMITS, lambda: trainer.predict(images)) == math.ceil(20_000 / CHUNK)
    evaluation = trainer.evaluate(images, labels)
    assert (evaluation.total, evaluation.correct) == (20_000, 20_000)  # all logits are 0
    assert evaluation.loss == pytest.approx(math.log(10))


# 15 for the loss, 1 to scale it by the learning rate, 18 back to the parameters, 1 for each of these 8. With
# momentum each has 3 more, two products and a sum, and the loss is not scaled.
OPERATIONS = {0.0: 42, 0.9: 65}


@pytest.mark.parametrize("momentum", OPERATIONS)
def test_operations_of_a_step(momentum):
    """What MPSGraph does not fuse is a dispatch: none may creep in."""
    HOST.objc_host_set_mode(b"loss-rank=1")
    trainer = mpsmnist.Trainer(device="mps", momentum=momentum)
    assert counted(host.OPERATIONS, lambda: trainer.step(*examples.discs(2))) == OPERATIONS[momentum]
