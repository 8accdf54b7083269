"""Arrays that callbacks, signal handlers and other threads change during a call.

What a call then uses is as chance has it. But it never reads or writes outside of an array: a wrong label or
index is an error, and the Trainer goes on.
"""

from __future__ import annotations

import contextlib
import signal
import threading

import numpy as np
import pytest

from support import checks, examples

N = 3
STEPS = 4
ROWS = np.arange(STEPS * N).reshape(STEPS, N)
TRIES = 100
FAR = 2**40  # an index or label whose memory no process has
LABEL_DTYPES = (np.uint8, np.int32, np.int64, np.uint64)


def given(dtype=np.int64):
    images, labels = examples.discs(STEPS * N)
    return {
        "images": (images / 255).astype(np.float32),
        "labels": labels.astype(dtype),
        "batches": ROWS.copy(),
        "learning_rates": np.full(STEPS, 0.01, np.float32),
    }


def largest(dtype):
    """The largest value of the type, or one far outside of any process's memory."""
    return np.uint64(2**63 + 5) if dtype == np.uint64 else min(np.iinfo(dtype).max, FAR)


CHANGES = {
    **{
        f"labels, {dtype.__name__}": ("labels", dtype, largest(dtype), "labels: label")
        for dtype in LABEL_DTYPES
    },
    "labels below 0": ("labels", np.int32, -(2**30), "labels: label -1073741824 at index"),
    "batches": ("batches", np.int64, FAR, r"batches: index 1099511627776 at \(2, 0\) is out of range"),
    "batches below 0": ("batches", np.int64, -FAR, r"batches: index -1099511627776 at \(2, 0\)"),
    "learning_rates": ("learning_rates", np.int64, np.nan, r"learning_rates: .*nan at index 2"),
}


@pytest.mark.parametrize(("name", "dtype", "value", "words"), CHANGES.values(), ids=CHANGES.keys())
def test_on_step_may_make_them_wrong(make_trainer, name, dtype, value, words):
    """The first step's report comes when the second is under way: the run ends there."""
    trainer, expected = make_trainer(init="he"), make_trainer(init="he")
    arrays = given(dtype)
    with pytest.raises(ValueError, match=f"^{words}"):
        trainer.run(**arrays, on_step=lambda step, loss: arrays[name].fill(value))
    assert trainer.steps == 2
    plain = given()
    expected.run(plain["images"], plain["labels"], ROWS[:2])
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))
    assert np.isfinite(trainer.step(plain["images"][:N], plain["labels"][:N]))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38, -1e38], ids=str)
@pytest.mark.parametrize("name", ["images", "labels"])
def test_on_step_may_write_any_float(make_trainer, name, value):
    trainer = make_trainer(init="he", momentum=0.9)
    arrays = given()
    arrays["labels"] = np.eye(10, dtype=np.float32)[arrays["labels"]]
    losses = trainer.run(**arrays, on_step=lambda step, loss: arrays[name].fill(value))
    assert np.all(np.isfinite(losses[:2]))
    if trainer.device == "cpu":  # a GPU's ReLU and pooling may take NaN for 0
        assert not np.isfinite(losses[-1])
    assert trainer.predict(given()["images"]).shape == (STEPS * N, 10)


def test_what_on_step_writes_is_trained_on(make_trainer):
    trainer, expected = make_trainer(init="he"), make_trainer(init="he")
    arrays, plain = given(), given()
    losses = trainer.run(**arrays, on_step=lambda step, loss: arrays["labels"].fill(7))
    steps = zip(ROWS, [plain["labels"]] * 2 + [np.full(STEPS * N, 7)] * 2, strict=True)
    assert losses.tolist() == [expected.step(plain["images"][rows], labels[rows]) for rows, labels in steps]


@contextlib.contextmanager
def refilled(target, values):
    """Another thread writes the values in turn, until the block ends."""
    stop = threading.Event()

    def refill():
        while not stop.is_set():
            for value in values:
                target[...] = value
                stop.wait(0.0001)

    thread = threading.Thread(target=refill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def call_step_async(trainer, arrays):
    """A third call waits for room, between its check and its copy."""
    return [trainer.step_async(arrays["images"], arrays["labels"]) for _ in range(3)]


CALLS = {
    "step": lambda trainer, arrays: trainer.step(arrays["images"], arrays["labels"]),
    "step_async": call_step_async,
    "gradients": lambda trainer, arrays: trainer.gradients(arrays["images"], arrays["labels"]),
    "evaluate": lambda trainer, arrays: trainer.evaluate(arrays["images"], arrays["labels"]),
    "run": lambda trainer, arrays: trainer.run(arrays["images"], arrays["labels"], arrays["batches"]),
}


@pytest.mark.parametrize(("method", "name"), [("run", "batches"), *((method, "labels") for method in CALLS)])
def test_a_loader_thread_may_refill_them(make_trainer, method, name):
    trainer = make_trainer(init="he", learning_rate=1e-4)
    arrays = given(np.uint8)
    good = arrays[name].copy()
    bad = FAR if name == "batches" else 255
    with refilled(arrays[name], [good, bad]):
        for _ in range(TRIES):
            with contextlib.suppress(ValueError):
                CALLS[method](trainer, arrays)
    arrays[name][...] = good
    CALLS[method](trainer, arrays)
    assert np.all(np.isfinite(checks.flat_state(trainer)))


def call_until_it_fails(call, trainer, arrays):
    for _ in range(10_000):
        call(trainer, arrays)


@pytest.mark.parametrize(("method", "name"), [("run", "batches"), ("run", "labels"), ("evaluate", "labels")])
def test_a_signal_handler_may_refill_them(make_trainer, method, name):
    trainer = make_trainer(init="he", learning_rate=1e-4)
    images, labels = examples.discs(32)
    arrays = {"images": np.tile(images, (64, 1, 1)), "labels": np.tile(labels, 64).astype(np.uint8)}
    arrays["batches"] = np.tile(np.arange(32), (200, 1))
    good = arrays[name].copy()
    before = signal.signal(signal.SIGALRM, lambda *_: arrays[name].fill(FAR if name == "batches" else 255))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        with pytest.raises(ValueError, match=f"^{name}: .* is out of range"):
            call_until_it_fails(CALLS[method], trainer, arrays)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    arrays[name][...] = good
    assert trainer.evaluate(images, labels).total == 32
