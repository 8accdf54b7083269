"""The memory of gradients: the engine's, lent to whoever asked for them for as long as they are held."""

from __future__ import annotations

import gc

import numpy as np

from support import checks, examples


def address(gradients):
    return gradients.flat.__array_interface__["data"][0]


def test_gradients_that_are_held_stay_as_they_are(make_trainer):
    trainer = make_trainer(init="he")
    batches = [examples.discs(2, seed=500 + seed) for seed in range(4)]
    copies = [trainer.gradients(*batch).flat.copy() for batch in batches]
    held = [trainer.gradients(*batch) for batch in batches]
    assert len({address(gradients) for gradients in held}) == len(held)
    for gradients, copy in zip(held, copies, strict=True):
        checks.assert_same_bits(gradients.flat, copy)


def test_memory_is_used_again(make_trainer):
    """13 MB of fresh pages for each would cost more than the gradients of a small batch."""
    trainer = make_trainer(init="he")
    batch = examples.discs(2)
    addresses = set()
    gradients = None
    for _ in range(6):
        gradients = trainer.gradients(*batch)  # the last ones are held meanwhile
        addresses.add(address(gradients))
    assert len(addresses) == 2


def test_a_view_keeps_the_memory(make_trainer):
    trainer = make_trainer(init="he")
    bias = trainer.gradients(*examples.discs(2))["fc1.bias"]
    copy = bias.copy()
    for seed in range(3):
        trainer.gradients(*examples.discs(2, seed=510 + seed))
    checks.assert_same_bits(bias, copy)


def test_gradients_outlive_the_trainer(make_trainer):
    trainer = make_trainer(init="he")
    gradients = trainer.gradients(*examples.discs(2))
    copy = gradients.flat.copy()
    del trainer
    gc.collect()
    checks.assert_same_bits(gradients.flat, copy)
    assert np.any(gradients["conv0.weight"])


def test_gradients_may_be_written_to(make_trainer):
    """So that they can be averaged, scaled or clipped in place."""
    trainer, expected = make_trainer(init="he"), make_trainer(init="he")
    batch = examples.discs(2)
    gradients = trainer.gradients(*batch)
    doubled = expected.gradients(*batch).flat * np.float32(2)
    gradients.flat[...] *= np.float32(2)
    trainer.apply_gradients(gradients)
    expected.apply_gradients(doubled)
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))
