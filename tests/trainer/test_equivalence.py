"""Ways that must lead to the same weights: on one device, to the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import mpsmnist
from support import checks, examples

STEPS = 5
N = 5


def batches():
    return [examples.discs(N, seed=300 + step) for step in range(STEPS)]


def trained_by_step(make_trainer, momentum):
    trainer = make_trainer(init="he", momentum=momentum)
    losses = np.array([trainer.step(*batch) for batch in batches()], np.float32)
    return losses, checks.flat_state(trainer)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_step_async_gives_the_bits_of_step(make_trainer, momentum):
    expected_losses, expected = trained_by_step(make_trainer, momentum)
    trainer = make_trainer(init="he", momentum=momentum)
    pending = [trainer.step_async(*batch) for batch in batches()]
    checks.assert_same_bits(checks.flat_state(trainer), expected)
    checks.assert_same_bits(np.array([p.result() for p in pending], np.float32), expected_losses)
    assert trainer.steps == STEPS


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_run_gives_the_bits_of_step(make_trainer, momentum):
    expected_losses, expected = trained_by_step(make_trainer, momentum)
    # The same batches, their images shuffled into one set that has others among them.
    images = np.concatenate([batch[0] for batch in batches()] + [examples.discs(9)[0]])
    labels = np.concatenate([batch[1] for batch in batches()] + [examples.discs(9)[1]])
    order = np.random.default_rng(0).permutation(len(images))
    rows = np.argsort(order)[: STEPS * N].reshape(STEPS, N)
    trainer = make_trainer(init="he", momentum=momentum)
    losses = trainer.run(images[order], labels[order], rows)
    checks.assert_same_bits(losses, expected_losses)
    checks.assert_same_bits(checks.flat_state(trainer), expected)
    assert trainer.steps == STEPS


def test_run_takes_repeated_rows(make_trainer):
    images, labels = examples.discs(4)
    rows = [[2, 2, 0], [3, 3, 3]]
    by_step, by_run = make_trainer(), make_trainer()
    expected = [by_step.step(images[row], labels[row]) for row in rows]
    assert by_run.run(images, labels, rows).tolist() == expected
    checks.assert_same_bits(checks.flat_state(by_run), checks.flat_state(by_step))


@pytest.mark.parametrize("rate_type", [list, np.float32, np.float64])
def test_run_takes_a_learning_rate_per_step(make_trainer, rate_type):
    images, labels = examples.discs(6)
    rows = [[0, 1], [2, 3], [4, 5]]
    rates = [0.0625, 0.0, 0.001]
    by_step, by_run = make_trainer(learning_rate=0.5), make_trainer(learning_rate=0.5)
    expected = []
    for row, rate in zip(rows, rates, strict=True):
        by_step.learning_rate = rate
        expected.append(by_step.step(images[row], labels[row]))
    given = rates if rate_type is list else np.array(rates, rate_type)
    assert by_run.run(images, labels, rows, learning_rates=given).tolist() == expected
    checks.assert_same_bits(checks.flat_state(by_run), checks.flat_state(by_step))
    assert by_run.learning_rate == 0.5


def test_run_of_no_batches_changes_nothing(make_trainer):
    trainer = make_trainer()
    before = checks.flat_state(trainer)
    losses = trainer.run(*examples.discs(2), np.zeros((0, 2), np.int64))
    assert (losses.dtype, losses.shape, trainer.steps) == (np.float32, (0,), 0)
    checks.assert_same_bits(checks.flat_state(trainer), before)


def shuffled(gradients):
    return {name: gradients[name] for name in reversed(list(gradients))}


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda g: g, id="Gradients"),
        pytest.param(lambda g: g.flat, id="flat"),
        pytest.param(lambda g: g.flat.astype(np.float64), id="flat float64"),
        pytest.param(dict, id="dict"),
        pytest.param(shuffled, id="dict in another order"),
    ],
)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_apply_gradients_makes_the_update_of_step(make_trainer, momentum, form):
    by_step = make_trainer(init="he", momentum=momentum)
    by_gradients = make_trainer(init="he", momentum=momentum)
    for images, labels in batches()[:2]:
        loss = by_step.step(images, labels)
        gradients = by_gradients.gradients(images, labels)
        assert gradients.loss == pytest.approx(loss, rel=1e-6)
        by_gradients.apply_gradients(form(gradients))
    assert by_gradients.steps == 2
    expected, actual = checks.flat_state(by_step), checks.flat_state(by_gradients)
    if by_step.device == "cpu":
        checks.assert_same_bits(actual, expected)
    else:  # two executables, which may fuse and so round differently: a few units in the last place
        assert checks.relative_error(actual, expected) < 1e-6


def test_averaged_gradients_of_halves_make_the_step_of_the_whole(make_trainer):
    """What data-parallel training relies on."""
    images, labels = examples.discs(8)
    whole, halves = make_trainer(init="he"), make_trainer(init="he")
    before = checks.flat_state(whole)
    whole.step(images, labels)
    first, second = halves.gradients(images[:4], labels[:4]), halves.gradients(images[4:], labels[4:])
    halves.apply_gradients((first.flat + second.flat) / 2)
    expected = checks.flat_state(whole)
    error = np.linalg.norm(checks.flat_state(halves) - expected)
    # The updates agree to 1e-4; the weights round to half a unit in the last place in each trainer.
    assert error < 1e-4 * np.linalg.norm(expected - before) + 2.0**-23 * np.linalg.norm(expected)


def test_training_repeats_to_the_bit(make_trainer):
    first_losses, first = trained_by_step(make_trainer, 0.9)
    second_losses, second = trained_by_step(make_trainer, 0.9)
    checks.assert_same_bits(second_losses, first_losses)
    checks.assert_same_bits(second, first)


@pytest.mark.parametrize("n", [1, 2, 5, 16, 33])
def test_cpu_bits_do_not_depend_on_the_threads(n):
    images, labels = examples.discs(n)
    results = []
    for threads in (1, 2, 3, 5, 16):
        trainer = mpsmnist.Trainer(device="cpu", init="he", momentum=0.9, threads=threads)
        assert trainer.threads == threads
        gradients = trainer.gradients(images, labels)
        losses = [trainer.step(images, labels) for _ in range(3)]
        loss = trainer.evaluate(images, labels).loss
        numbers = np.array([gradients.loss, *losses, loss], np.float32)
        state, predictions = checks.flat_state(trainer), trainer.predict(images).ravel()
        results.append(np.concatenate([numbers, gradients.flat, state, predictions]))
    for other in results[1:]:
        checks.assert_same_bits(other, results[0])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_training_follows_the_cpu_engine_step_by_step(make_trainer, device, momentum):
    """Each step starts from the CPU engine's state: on their own, two float32 trainings drift apart.

    A loss comes of four chained sums of K = 3136 terms at most, each of which errs by sqrt(K) * 2**-24 = 3e-6
    of its norm (test_numbers.py): 3e-5 for two engines. It is the logits that err so, and a loss is a
    difference of logits that may be larger: hence the absolute part, for logits up to 10.

    Updates agree far better than to a hundredth, unless a near-tie of a ReLU or a pool falls the other way,
    which moves the gradient of one window of one image of 16. A wrong gradient is off by more.
    """
    if device == "cpu":
        pytest.skip("this compares the other devices with the CPU engine")
    options = {"init": "he", "momentum": momentum, "learning_rate": 0.02}
    trainer = make_trainer(**options)
    cpu = mpsmnist.Trainer(device="cpu", seed=trainer.seed, threads=1, **options)
    losses, expected, update_errors = [], [], []
    for step in range(20):
        trainer.load_state_dict(cpu.state_dict())
        before = checks.flat_state(cpu)
        batch = examples.discs(16, seed=400 + step)
        losses.append(trainer.step(*batch))
        expected.append(cpu.step(*batch))
        updates = (checks.flat_state(each) - before for each in (trainer, cpu))
        update_errors.append(checks.relative_error(*updates))
    assert max(update_errors) < 1e-2
    assert losses == pytest.approx(expected, rel=3e-5, abs=3e-4)
    assert expected[-1] < 0.7 * expected[0]  # the states differ from one another


def test_reading_between_steps_does_not_disturb_training(make_trainer):
    expected_losses, expected = trained_by_step(make_trainer, 0.9)
    trainer = make_trainer(init="he", momentum=0.9)
    losses = []
    for images, labels in batches():
        trainer.predict(images[:2])
        trainer.evaluate(images, labels)
        trainer.gradients(images[1:], labels[1:])
        losses.append(trainer.step(images, labels))
        trainer.state_dict()
    checks.assert_same_bits(np.array(losses, np.float32), expected_losses)
    checks.assert_same_bits(checks.flat_state(trainer), expected)


def test_batch_sizes_may_alternate(make_trainer):
    """More sizes than any cache of compiled graphs holds, each twice."""
    trainer = make_trainer(init="he")
    start = trainer.state_dict()
    rounds = []
    for _ in range(2):
        trainer.load_state_dict(start)
        rounds.append([trainer.step(*examples.discs(n)) for n in range(1, 13)])
    assert rounds[0] == rounds[1]


def test_trainers_are_independent(make_trainer):
    expected_losses, expected = trained_by_step(make_trainer, 0.0)
    trainer, other = make_trainer(init="he"), make_trainer(seed=9, num_classes=26, momentum=0.5)
    losses = []
    for images, labels in batches():
        losses.append(trainer.step(images, labels))
        other.step(images, labels)
    checks.assert_same_bits(np.array(losses, np.float32), expected_losses)
    checks.assert_same_bits(checks.flat_state(trainer), expected)
