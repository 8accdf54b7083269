"""What Trainer.run tells of its steps, and what may happen while it does."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from support import checks, examples

N = 3
ROWS = np.arange(4 * N).reshape(4, N)


def batch(step):
    images, labels = examples.discs(4 * N)
    return images[ROWS[step]], labels[ROWS[step]]


def run(trainer, on_step, rows=ROWS):
    return trainer.run(*examples.discs(4 * N), rows, on_step=on_step)


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_each_step_is_reported_in_order(make_trainer, steps):
    trainer, silent = make_trainer(init="he"), make_trainer(init="he")
    for each in (trainer, silent):
        each.step(*batch(0))
    reported = []
    losses = run(trainer, lambda step, loss: reported.append((step, loss)), ROWS[:steps])
    assert reported == list(zip(range(2, 2 + steps), losses.tolist(), strict=True))
    assert all(type(step) is int and type(loss) is float for step, loss in reported)
    checks.assert_same_bits(losses, run(silent, None, ROWS[:steps]))
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(silent))


class StopHereError(Exception):
    pass


@pytest.mark.parametrize(("last", "completed"), [(1, 2), (2, 3), (4, 4)])
def test_an_exception_ends_the_run_after_the_step_under_way(make_trainer, last, completed):
    trainer, expected = make_trainer(init="he", momentum=0.5), make_trainer(init="he", momentum=0.5)
    reported = []

    def on_step(step, loss):
        reported.append(step)
        if step == last:
            raise StopHereError(step)

    with pytest.raises(StopHereError, match=f"^{last}$"):
        run(trainer, on_step)
    assert reported == list(range(1, last + 1))
    assert trainer.steps == completed
    run(expected, None, ROWS[:completed])
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))
    assert trainer.step(*batch(0)) == expected.step(*batch(0))


@pytest.mark.parametrize("read", ["predict", "state_dict", "steps", "synchronize"])
def test_on_step_may_read_the_trainer(make_trainer, read):
    """A read waits for the step under way, which is reported all the same, and once."""
    trainer, expected = make_trainer(init="he"), make_trainer(init="he")
    reported = []
    reads = {
        "predict": lambda: trainer.predict(batch(0)[0]),
        "state_dict": trainer.state_dict,
        "steps": lambda: trainer.steps,
        "synchronize": trainer.synchronize,
    }

    def on_step(step, loss):
        reads[read]()
        reported.append(step)

    checks.assert_same_bits(run(trainer, on_step), run(expected, None))
    assert reported == [1, 2, 3, 4]
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))


def train_by_step(trainer):
    trainer.step(*batch(0))


def train_by_run(trainer):
    run(trainer, lambda step, loss: None, ROWS[:1])


def train_by_two_in_flight(trainer):
    """Leave two steps in flight."""
    for _ in range(2):
        trainer.step_async(*batch(0))


@pytest.mark.parametrize(
    ("train", "more"), [(train_by_step, 1), (train_by_run, 1), (train_by_two_in_flight, 2)]
)
def test_on_step_may_train(make_trainer, train, more):
    """After the second step the third is under way: what on_step trains comes before the fourth."""
    trainer, expected = make_trainer(init="he"), make_trainer(init="he")
    reported = []

    def on_step(step, loss):
        reported.append(step)
        if step == 2:
            train(trainer)

    losses = run(trainer, on_step)
    assert reported == [1, 2, 3, 4 + more]
    assert trainer.steps == 4 + more
    expected_losses = [expected.step(*batch(step)) for step in range(3)]
    for _ in range(more):
        expected.step(*batch(0))
    assert losses.tolist() == [*expected_losses, expected.step(*batch(3))]
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))


def test_on_step_must_be_callable(make_trainer):
    trainer = make_trainer()
    with pytest.raises(TypeError, match=r"^on_step: 'print'; expected a function or None$"):
        run(trainer, "print")
    assert trainer.steps == 0


def test_run_takes_on_step_by_name(make_trainer):
    with pytest.raises(TypeError):
        make_trainer().run(*examples.discs(4 * N), ROWS, None, print)


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
def test_a_signal_while_a_call_begins_is_not_lost(make_trainer, monkeypatch, error):
    """The first Python that runs in a call is where a signal's handler raises."""

    def raise_interrupt():
        raise error

    trainer = make_trainer()
    with monkeypatch.context() as patch:
        patch.setattr(threading, "main_thread", raise_interrupt)
        with pytest.raises(error):
            run(trainer, None)
    assert trainer.steps == 0
    run(trainer, None)
