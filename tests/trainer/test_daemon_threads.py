"""The interpreter shuts down while daemon threads are in native calls: the process ends in peace."""

from __future__ import annotations

import pytest

from support.programs import run_program

# The main thread ends at once: the interpreter meets its daemon threads anywhere in their calls.
SCRIPT = """
import sys, threading, time
import numpy as np
import mpsmnist

device, call = sys.argv[1:]
trainer = mpsmnist.Trainer(device=device, init="he", learning_rate=0.001, threads=2)
images, labels = np.zeros((64, 28, 28), np.uint8), np.arange(64) % 10
state = trainer.state_dict()

def linger():
    return sum(range(3000)) * 0

class Slow:
    # Takes its time wherever Python code of the arguments runs.

    def __array__(self, dtype=None, copy=None):
        return images + np.uint8(linger())

    def __index__(self):
        return 1 + linger()

    def __float__(self):
        return 0.1 + linger()

    def __repr__(self):
        return "slow" * (1 + linger())

    def keys(self):
        return [*state, linger()][:-1]

    def __getitem__(self, name):
        linger()
        return state[name]

swapped = images.astype(">f4")  # NumPy converts it without the GIL

def refused():
    try:
        trainer.step(images, stride=Slow())
    except TypeError:
        pass

def drop():
    mpsmnist.Trainer(device=device, threads=2).step_async(images, labels)

calls = {
    "step": lambda: trainer.step(images, labels),
    "result": lambda: trainer.step_async(images, labels).result(),
    "run": lambda: trainer.run(images, labels, np.tile(np.arange(16), (10, 1))),
    "augment": lambda: mpsmnist.augment(Slow(), seed=Slow(), shift=Slow(), threads=2),
    "on_step": lambda: trainer.run(images, labels, [range(4)] * 9, on_step=lambda *_: linger()),
    "predict": lambda: trainer.predict(images),
    "array": lambda: trainer.predict(Slow()),
    "conversion": lambda: trainer.step(swapped, labels),
    "mapping": lambda: trainer.load_state_dict(Slow()),
    "numbers": lambda: mpsmnist.Trainer(device=device, threads=Slow(), learning_rate=Slow()),
    "refusal": refused,
    "evaluate": lambda: trainer.evaluate(images, labels),
    "gradients": lambda: trainer.gradients(images, labels),
    "state_dict": lambda: trainer.state_dict(),
    "load_state_dict": lambda: trainer.load_state_dict(state),
    "synchronize": lambda: (trainer.step_async(images, labels), trainer.synchronize()),
    "steps": lambda: (trainer.step_async(images, labels), trainer.steps),
    "constructor": lambda: mpsmnist.Trainer(device=device, threads=2),
    "deletion": drop,
}
entered = threading.Semaphore(0)

def work():
    while True:
        entered.release()
        calls[call]()

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
for _ in range(6):
    entered.acquire()
"""
CALLS = [
    *("step", "result", "run", "on_step", "predict", "array", "conversion", "mapping", "numbers", "refusal"),
    *("evaluate", "gradients", "state_dict", "augment"),
    *("load_state_dict", "synchronize", "steps", "constructor", "deletion"),
]


@pytest.mark.parametrize("call", CALLS)
def test_the_process_ends_in_peace(device, call):
    for _ in range(3):
        assert run_program(SCRIPT, device, call) == ""


def test_a_trainer_may_be_used_at_exit_after_a_thread_was_stopped_in_on_step(device):
    """The thread stays in on_step: it must not keep the Trainer's lock."""
    script = (
        SCRIPT
        + """
class AtExit:
    def __del__(self, call=trainer.predict, images=images[:1]):
        print(call(images).shape)

sys.modules["kept_to_the_end"] = AtExit()
"""
    )
    assert run_program(script, device, "on_step") in ("(1, 10)\n", "")
