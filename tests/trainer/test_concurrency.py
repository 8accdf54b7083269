"""Steps in flight, Python threads, the GIL and Ctrl-C."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from support import checks, examples

TIMEOUT = 60  # seconds after which we call it a deadlock; everything here takes far less

LONG_BATCH = {"cpu": 256, "mps": 32}  # a step of it takes tens of milliseconds or more
MANY = {"cpu": 512, "mps": 64}  # images whose prediction takes that long
RACED_STEPS = {"cpu": 30, "mps": 8}
ENOUGH_TICKS = 4  # with the GIL held throughout a call, one tick at most slips in at each end


def test_results_may_be_asked_for_again_and_late(make_trainer):
    batch = examples.discs(3)
    trainer, other = make_trainer(init="he"), make_trainer(init="he")
    pending = [trainer.step_async(*batch) for _ in range(4)]
    expected = [other.step(*batch) for _ in range(4)]
    assert [p.result() for p in reversed(pending)] == expected[::-1]
    assert [p.result() for p in pending] == expected
    assert all(p.done() is True for p in pending)
    assert all(type(p.result()) is float for p in pending)


def test_step_async_returns_before_the_step_is_done(make_trainer, device):
    trainer = make_trainer(init="he")
    batch = examples.discs(LONG_BATCH[device])
    early = []
    for _ in range(5):  # a busy machine may finish a step before we look: once is enough
        pending = trainer.step_async(*batch)
        early.append(not pending.done())
        pending.result()
        assert pending.done()
    assert any(early)


def test_a_third_step_waits_for_the_first(make_trainer, device):
    trainer = make_trainer(init="he")
    batch = examples.discs(LONG_BATCH[device])
    pending = []
    for _ in range(6):
        pending.append(trainer.step_async(*batch))
        # At most two are in flight now, and steps complete in order.
        assert all(p.done() for p in pending[:-2])
    trainer.synchronize()
    assert all(p.done() for p in pending)


@pytest.mark.parametrize("read", ["state_dict", "steps", "predict", "evaluate", "gradients", "step", "run"])
def test_whatever_reads_the_weights_drains_first(make_trainer, device, read):
    trainer = make_trainer(init="he")
    images, labels = examples.discs(LONG_BATCH[device])
    pending = [trainer.step_async(images, labels) for _ in range(2)]
    if read == "steps":
        assert trainer.steps == 2
    else:
        arguments = {"state_dict": (), "predict": (images[:1],), "run": (images, labels, [[0]])}
        getattr(trainer, read)(*arguments.get(read, (images[:1], labels[:1])))
    assert all(p.done() for p in pending)


def test_results_outlive_the_trainer(make_trainer, device):
    batch = examples.discs(LONG_BATCH[device])
    expected = make_trainer(init="he").step(*batch)
    trainer = make_trainer(init="he")
    pending = [trainer.step_async(*batch) for _ in range(2)]
    del trainer
    gc.collect()
    assert pending[0].result() == expected
    assert np.isfinite(pending[1].result())


def test_a_trainer_with_steps_in_flight_can_be_dropped(make_trainer, device):
    """Nothing crashes or hangs, and the next trainer works as usual."""
    batch = examples.discs(LONG_BATCH[device])
    expected = make_trainer(init="he").step(*batch)
    for _ in range(3):
        make_trainer(init="he").step_async(*batch)
    gc.collect()
    assert make_trainer(init="he").step(*batch) == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_inputs_may_be_reused_at_once(make_trainer, device, dtype):
    n = LONG_BATCH[device]
    images, labels = examples.discs(n)
    images = images if dtype == np.uint8 else images.astype(np.float32) / np.float32(255)
    expected, trainer = make_trainer(init="he"), make_trainer(init="he")
    expected_losses = [expected.step(images, labels) for _ in range(3)]
    pending = []
    for _ in range(3):
        own_images, own_labels = images.copy(), labels.copy()
        pending.append(trainer.step_async(own_images, own_labels))
        own_images.fill(0)
        own_labels.fill(0)
    assert [p.result() for p in pending] == expected_losses
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))


def in_threads(count, work):
    """Runs work(index) in threads; fails if one raises or is stuck."""
    failures = []

    def guarded(index):
        try:
            work(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + TIMEOUT
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads), "a thread is stuck"
    assert failures == []


def test_threads_share_a_trainer(make_trainer):
    """Equal batches commute: any order of four threads' steps leads to the same weights."""
    batch = examples.discs(3)
    alone, shared = make_trainer(init="he", momentum=0.5), make_trainer(init="he", momentum=0.5)
    expected = [alone.step(*batch) for _ in range(12)]
    losses = []

    def work(index):
        for step in range(3):
            if (index + step) % 2:
                losses.append(shared.step(*batch))
            else:
                losses.append(shared.step_async(*batch).result())
            shared.predict(batch[0])

    in_threads(4, work)
    assert sorted(losses) == sorted(expected)
    checks.assert_same_bits(checks.flat_state(shared), checks.flat_state(alone))
    assert shared.steps == 12


def test_every_method_may_race_with_run(make_trainer, device):
    """Run takes the GIL now and then (for Ctrl-C), so nobody may wait for run with the GIL held."""
    trainer = make_trainer(init="he", learning_rate=0.001)
    images, labels = examples.discs(16)
    rows = np.tile(np.arange(16), (RACED_STEPS[device], 1))
    started = threading.Event()

    def work(index):
        if index == 0:
            started.set()
            trainer.run(images, labels, rows)
            return
        started.wait()
        time.sleep(0.005)
        calls = [
            lambda: trainer.steps,
            trainer.state_dict,
            lambda: trainer.predict(images),
            lambda: trainer.evaluate(images, labels),
            lambda: trainer.gradients(images, labels),
            lambda: trainer.step(images, labels),
            lambda: trainer.step_async(images, labels).result(),
            trainer.synchronize,
            lambda: trainer.learning_rate,
            lambda: trainer.threads,
        ]
        calls[index - 1]()

    in_threads(11, work)
    assert trainer.steps == len(rows) + 2


@pytest.mark.parametrize(
    "method", ["run", "predict", "evaluate", "gradients", "result", "synchronize", "steps"]
)
def test_other_threads_work_meanwhile(make_trainer, device, method):
    """The GIL is free while native code computes or waits: a thread that takes short naps makes progress."""
    trainer = make_trainer(init="he", learning_rate=0.001)
    images, labels = examples.discs(MANY[device])
    rows = np.tile(np.arange(32), (8, 1))
    ticks = 0
    stop = threading.Event()

    def tick():
        nonlocal ticks
        while not stop.is_set():
            time.sleep(0.001)
            ticks += 1

    def start_steps():
        n = LONG_BATCH[device]
        return [trainer.step_async(images[:n], labels[:n]) for _ in range(2)]

    def prepare():
        trainer.synchronize()
        return start_steps()[-1] if method in ("result", "synchronize", "steps") else None

    calls = {
        "run": lambda _: trainer.run(images, labels, rows),
        "predict": lambda _: trainer.predict(images),
        "evaluate": lambda _: trainer.evaluate(images, labels),
        "gradients": lambda _: trainer.gradients(images, labels),
        "result": lambda pending: pending.result(),
        "synchronize": lambda _: trainer.synchronize(),
        "steps": lambda _: trainer.steps,
    }
    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    seen = 0
    for _ in range(5):  # a busy machine may not wake the thread often: once is enough
        pending = prepare()
        before = ticks
        calls[method](pending)
        seen = max(seen, ticks - before)
        if seen >= ENOUGH_TICKS:
            break
    stop.set()
    thread.join()
    assert seen >= ENOUGH_TICKS


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
import mpsmnist

# A shell without job control starts background programs with SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
trainer = mpsmnist.Trainer(device=sys.argv[1], init="he", learning_rate=0.001)
images = np.zeros((16, 28, 28), np.uint8)
labels = np.arange(16) % 10
rows = np.tile(np.arange(16), (200_000, 1))
trainer.step(images, labels)
threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
start = time.perf_counter()
try:
    trainer.run(images, labels, rows)
except KeyboardInterrupt:
    print("interrupted", time.perf_counter() - start, trainer.steps)
print("loss", trainer.step(images, labels))
"""


def run_script(script, device):
    """The lines that it prints."""
    words = [sys.executable, "-c", script, device]
    process = subprocess.run(words, capture_output=True, text=True, timeout=2 * TIMEOUT, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


def test_ctrl_c_ends_a_run(device):
    interrupted, last = run_script(INTERRUPTED, device)
    word, seconds, steps = interrupted.split()
    assert word == "interrupted"
    assert float(seconds) < 10
    assert 1 < int(steps) < 200_000
    assert np.isfinite(float(last.split()[1]))


def test_a_signal_handler_may_raise_anything_and_use_the_trainer(device):
    script = INTERRUPTED.replace(
        "threading.Timer",
        """
def handler(signum, frame):
    print("handler", trainer.steps >= 1)
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, handler)
threading.Timer""",
        1,
    )
    handler, interrupted, _ = run_script(script, device)
    assert handler == "handler True"
    assert interrupted.startswith("interrupted")
