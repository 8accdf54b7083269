"""What the system refuses, memory, threads or a large stack: a DeviceError with words, or nothing at all."""

from __future__ import annotations

import pytest

from support.memory import limits_memory
from support.programs import run_program

SETUP = """
import resource, sys, threading
import numpy as np
import mpsmnist

device, call = sys.argv[1:]
trainer = mpsmnist.Trainer(device=device, init="he", learning_rate=0.001, momentum=0.9, threads=1)
images, labels = np.zeros((N, 28, 28), np.uint8), np.arange(N) % 10
flat = np.zeros(sum(value.size for value in trainer.state_dict().values()) // 2, np.float32)
weights = {name: value for name, value in trainer.state_dict().items() if not name.startswith("momentum.")}
calls = {
    "step": lambda: trainer.step(images, labels),
    "step_async": lambda: trainer.step_async(images, labels).result(),
    "run": lambda: trainer.run(images, labels, [range(N)]),
    "on_step": lambda: trainer.run(images, labels, [range(N)], on_step=lambda step, loss: None),
    "predict": lambda: trainer.predict(images),
    "evaluate": lambda: trainer.evaluate(images, labels),
    "gradients": lambda: trainer.gradients(images, labels),
    "apply_gradients": lambda: trainer.apply_gradients(flat),
    "state_dict": lambda: trainer.state_dict(),
    "load_state_dict": lambda: trainer.load_state_dict(weights),
    "augment": lambda: mpsmnist.augment(images, seed=1, threads=1),
    "constructor": lambda: mpsmnist.Trainer(device=device, threads=THREADS),
}
"""
CALLS = [
    *("step", "step_async", "run", "on_step", "predict", "evaluate", "gradients", "apply_gradients"),
    *("state_dict", "load_state_dict", "augment", "constructor"),
]


def program(script, n, threads=1):
    return (SETUP + script).replace("THREADS", str(threads)).replace("N)", f"{n})").replace("(N,", f"({n},")


@pytest.mark.parametrize("call", CALLS)
def test_a_stack_of_32_kilobytes_is_enough(device, call):
    if device == "mps":
        pytest.skip("MPSGraph's frames are not ours")
    script = """
threading.stack_size(32 * 1024)
thread = threading.Thread(target=lambda: print(calls[call]() is not NotImplemented))
thread.start()
thread.join()
"""
    assert run_program(program(script, n=20), device, call) == "True\n"


@limits_memory
@pytest.mark.parametrize("call", [c for c in CALLS if c not in ("state_dict", "augment", "apply_gradients")])
def test_no_memory(device, call):
    """Not state_dict() and augment(), whose arrays are NumPy's, with a MemoryError of its own in words; and
    not apply_gradients(), which needs so little that the heap may have it.
    """
    if device == "mps":
        pytest.skip("the host implementation's allocations are not ours")
    script = """
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), resource.RLIM_INFINITY))
for _ in range(2):
    try:
        calls[call]()
    except mpsmnist.DeviceError as error:
        print(error)
"""
    lines = run_program(program(script, n=3000, threads=1000), device, call).splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "out of memory" in line or "the system allows no more threads (" in line
