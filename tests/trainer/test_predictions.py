"""What predict and evaluate do with large logits, with bad values far into an array, and with signals."""

from __future__ import annotations

import contextlib
import math
import signal

import numpy as np
import pytest

from support import checks, examples

LARGE_LOGITS = [1000.0, 999.0, -1000.0] + [0.0] * 7


def trainer_with_logits(make_trainer, logits):
    """A trainer that gives these logits for any image."""
    trainer = make_trainer()
    state = {name: np.zeros_like(value) for name, value in trainer.state_dict().items()}
    trainer.load_state_dict(state | {"fc1.bias": np.array(logits, np.float32)})
    return trainer


def test_large_logits_do_not_overflow(make_trainer):
    """exp(1000) is infinite even in double, and infinity divided by infinity is NaN."""
    trainer = trainer_with_logits(make_trainer, LARGE_LOGITS)
    images, _ = examples.discs(2)
    expected = [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))] + [0.0] * 8
    # Computed in double, then rounded to float32: half a unit in the last place, of 2^-24 at most.
    np.testing.assert_allclose(trainer.predict(images), [expected] * 2, rtol=2.0**-23, atol=0)


def test_large_logits_have_finite_losses(make_trainer):
    trainer = trainer_with_logits(make_trainer, LARGE_LOGITS)
    images, _ = examples.discs(2)
    log_sum = 1000 + math.log1p(math.exp(-1))
    result = trainer.evaluate(images, np.array([0, 2]))
    # In double: the logits are exact, and the mean of two losses rounds a few times, by 2^-53 each.
    assert result.loss == pytest.approx(((log_sum - 1000) + (log_sum + 1000)) / 2, rel=2.0**-50)
    assert result.correct == 1


def test_a_bad_value_is_found_however_far_in(make_trainer):
    """Predictions are made in chunks of 256 images; the message counts from the first."""
    trainer = make_trainer()
    images = np.zeros((300, 28, 28), np.float32)
    images[298, 3, 5] = np.nan
    labels = np.zeros(300, np.int64)
    for call in (lambda: trainer.predict(images), lambda: trainer.evaluate(images, labels)):
        with pytest.raises(ValueError, match=r"^images: pixel \(3, 5\) of image 298 is .*nan"):
            call()
    labels[299] = 10
    with pytest.raises(ValueError, match=r"^labels: label 10 at index 299"):
        trainer.evaluate(np.zeros_like(images), labels)


class TimeUpError(Exception):
    pass


# Zeros that nobody writes to take no memory. Predicting so many takes any machine longer than a few alarms,
# but the tests end with the last of these.
MANY = 1_000_000
ALARMS = 3
INTERVAL = 0.1


@contextlib.contextmanager
def alarms(handler):
    """Call `handler` every INTERVAL seconds, or as soon after that as Ctrl-C would be answered.

    Alarms that come while it works, or after it has raised, are ignored.
    """
    handling = []

    def on_alarm(signum, frame):
        if not handling:
            handling.append(signum)
            handler()
            handling.clear()

    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("method", ["predict", "evaluate"])
def test_signals_are_answered_while_many_images_are_predicted(make_trainer, method):
    """Alarms that a call leaves waiting are answered once, when it returns: the third only while it works."""
    trainer = make_trainer(init="he")
    before = checks.flat_state(trainer)
    images, labels = np.zeros((MANY, 28, 28), np.uint8), np.zeros(MANY, np.int64)
    arguments = (images,) if method == "predict" else (images, labels)
    answered = 0

    def handler():
        nonlocal answered
        answered += 1
        trainer.predict(images[:1])  # a handler may use the trainer
        if answered == ALARMS:
            raise TimeUpError

    with pytest.raises(TimeUpError), alarms(handler):
        getattr(trainer, method)(*arguments)
    checks.assert_same_bits(checks.flat_state(trainer), before)
    assert np.isfinite(trainer.step(*examples.discs(2)))


def test_a_signal_handler_may_train_meanwhile(make_trainer):
    """Steps that it leaves in flight are waited for before the next images are predicted."""
    trainer, expected = make_trainer(init="he"), make_trainer(init="he")
    images, labels = np.zeros((MANY, 28, 28), np.uint8), np.zeros(MANY, np.int64)
    batch = examples.discs(2)
    pending = []

    def handler():
        if len(pending) == 2 * ALARMS:
            raise TimeUpError
        pending.extend([trainer.step_async(*batch), trainer.step_async(*batch)])

    with pytest.raises(TimeUpError), alarms(handler):
        trainer.evaluate(images, labels)
    assert [loss.result() for loss in pending] == [expected.step(*batch) for _ in pending]
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))
