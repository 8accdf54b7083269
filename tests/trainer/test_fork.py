"""A forked child finds a Trainer that works, or one that says why not: no hang, and no wrong numbers."""

from __future__ import annotations

import os
import sys

import pytest

from support.programs import run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")

SECONDS = 60  # a child that still runs then hangs; each takes a fraction of a second

SETUP = """
import ctypes, os, signal, sys, threading, time
from pathlib import Path
import numpy as np
import mpsmnist

device, call = sys.argv[1:]
trainer = mpsmnist.Trainer(device=device, init="he", learning_rate=0.001, momentum=0.9, threads=2)
images, labels = np.zeros((64, 28, 28), np.uint8), np.arange(64) % 10
small = images[:4], labels[:4]
trainer.step(*small)
saved = trainer.state_dict()
pending = []
calls = {
    "step": lambda: trainer.step(*small),
    "step_async": lambda: trainer.step_async(*small).result(),
    "run": lambda: trainer.run(*small, [[0, 1]]),
    "predict": lambda: trainer.predict(small[0]),
    "evaluate": lambda: trainer.evaluate(*small),
    "gradients": lambda: trainer.gradients(*small),
    "state_dict": lambda: trainer.state_dict(),
    "steps": lambda: trainer.steps,
    "synchronize": lambda: trainer.synchronize(),
    "result": lambda: pending[-1].result(),
}

def hold(on):
    \"\"\"Over tests/objc_host, keeps steps on mps in flight; elsewhere it is luck.\"\"\"
    host = Path(mpsmnist.__file__).parent / "libmpsmnist.so"
    if device == "mps" and host.exists():
        ctypes.CDLL(str(host)).objc_host_hold(on)

def in_child(work):
    \"\"\"Runs work() in a forked child, whose exit code is 0 unless it fails or hangs.\"\"\"
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        work()
        sys.exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    hold(0)
    assert status == 0, f"the child ended with {status}"

def attempt():
    try:
        calls[call]()
        print("works", flush=True)
    except mpsmnist.DeviceError as error:
        print(error, flush=True)
""".replace("SECONDS", str(SECONDS))

# Steps long enough not to end before the process forks, however busy the machine is.
STEPS_IN_FLIGHT = """
hold(1)
times = 1 if device == "mps" else 32
long = np.tile(images, (times, 1, 1)), np.tile(labels, times)
pending = [trainer.step_async(*long) for _ in range(2)]
"""
# The lock is another thread's, and others wait for it, when the process forks.
OTHER_THREADS = """
rows = np.tile(np.arange(64), (1000, 1))
begun = threading.Semaphore(0)

def run():
    begun.release()
    trainer.run(images, labels, rows)

for _ in range(3):
    threading.Thread(target=run, daemon=True).start()
for _ in range(3):
    begun.acquire()
time.sleep(0.1)
"""
CALLS = [
    *("step", "step_async", "run", "predict", "evaluate", "gradients", "state_dict", "steps"),
    "synchronize",
]
LOST = (
    "the process was forked while a step was in flight or another thread was using this Trainer, "
    "so in this child its weights may be half updated: replace them with load_state_dict()"
)
NOT_IN_A_CHILD = 'device "mps" cannot be used in a forked child: start processes by spawning them'


def lines_of(script, device, call="step"):
    return run_program(SETUP + script, device, call).splitlines()


@pytest.mark.parametrize("call", CALLS)
def test_a_child_goes_on_where_nothing_was_in_flight(device, call):
    assert lines_of("in_child(attempt)", device, call) == [NOT_IN_A_CHILD if device == "mps" else "works"]


@pytest.mark.parametrize("busy", [STEPS_IN_FLIGHT, OTHER_THREADS], ids=["steps in flight", "other threads"])
@pytest.mark.parametrize("call", CALLS)
def test_a_child_of_a_busy_parent_says_so(device, busy, call):
    assert lines_of(busy + "in_child(attempt)", device, call) == [NOT_IN_A_CHILD if device == "mps" else LOST]


def test_the_result_of_a_step_in_flight_is_the_parents(device):
    script = STEPS_IN_FLIGHT + "in_child(attempt)\nprint(np.isfinite(pending[-1].result()))"
    assert lines_of(script, device, "result") == [
        "the process was forked while this step was in flight: it ends in the parent alone",
        "True",
    ]


def test_the_result_of_a_step_that_ended_is_the_childs_too(device):
    script = "pending = [trainer.step_async(*small)]\ntrainer.synchronize()\nin_child(attempt)"
    assert lines_of(script, device, "result") == ["works"]


@pytest.mark.parametrize(
    "busy", ["", STEPS_IN_FLIGHT, OTHER_THREADS], ids=["idle", "steps in flight", "other threads"]
)
@pytest.mark.parametrize("end", ["drop", "exit"])
def test_a_child_may_drop_the_trainer_or_exit(device, busy, end):
    script = """
def drop():
    global trainer
    del trainer
in_child(drop if call == "drop" else lambda: None)
"""
    assert lines_of(busy + script, device, end) == []


@pytest.mark.parametrize("busy", [STEPS_IN_FLIGHT, OTHER_THREADS], ids=["steps in flight", "other threads"])
def test_a_child_that_loads_weights_trains_as_they_would(device, busy):
    if device == "mps":
        pytest.skip("Metal cannot be used in a forked child")
    script = """
expected = mpsmnist.Trainer(device=device, momentum=0.9, learning_rate=0.001, threads=1)
expected.load_state_dict(saved)
loss = expected.step(*small)

def load_and_train():
    trainer.load_state_dict(saved)
    print(trainer.step(*small) == loss)
    state = trainer.state_dict()
    print(all(np.array_equal(state[n], v) for n, v in expected.state_dict().items()), flush=True)
"""
    assert lines_of(script + busy + "in_child(load_and_train)", device) == ["True", "True"]


def test_a_child_forked_in_on_step_ends_the_run(device):
    script = """
parent = os.getpid()
def on_step(step, loss):
    if step == 3 and os.fork() == 0:
        signal.alarm(SECONDS)
try:
    losses = trainer.run(images, labels, np.tile(np.arange(64), (5, 10)), on_step=on_step)
    os.wait()
    print("parent", len(losses), os.getpid() == parent)
except mpsmnist.DeviceError as error:
    print("child", os.getpid() != parent, flush=True)
""".replace("SECONDS", str(SECONDS))
    assert lines_of(script, device) == ["child True", "parent 5 True"]


def test_a_child_forked_in_on_step_may_load_weights_but_its_run_has_ended(device):
    """The next step is in flight, unless it was quick: it ends in the parent alone."""
    script = """
children = []

def on_step(step, loss):
    if step == 3:
        children.append(os.fork())
        if children == [0]:
            signal.alarm(SECONDS)
            try:
                trainer.load_state_dict(saved)
            except mpsmnist.DeviceError:
                pass  # a GPU's Trainer never works in a child

try:
    trainer.run(images, labels, np.tile(np.arange(64), (4, 10)), on_step=on_step)
except mpsmnist.DeviceError:
    assert children == [0]
if children == [0]:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
print("parent", flush=True)
""".replace("SECONDS", str(SECONDS))
    assert lines_of(script, device) == ["parent"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits threads as this test needs it")
def test_a_child_without_threads_says_so_each_time(device):
    """Run as root, the child becomes another user first: root has no limit."""
    if device == "mps":
        pytest.skip("Metal cannot be used in a forked child")
    script = """
import resource
trainer.step_async(*small).result()  # the parent's threads are there

def without_threads():
    if os.getuid() == 0:
        os.setresuid(65534, 65534, 65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    attempt()
    attempt()
    calls["gradients"], calls[call] = calls[call], calls["step_async"]
    attempt()
in_child(without_threads)
"""
    lines = lines_of(script, device)
    assert len(lines) == 3
    assert all(line.startswith("[cpu] the system allows no more threads (") for line in lines), lines
