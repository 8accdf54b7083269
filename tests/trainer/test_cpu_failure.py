"""A step of the CPU engine runs out of memory: those begun after it fail too, then training continues."""

from __future__ import annotations

import subprocess
import sys

from support.memory import limits_memory

SCRIPT = """
import resource
import numpy as np
import mpsmnist

def flat(trainer):
    return np.concatenate([value.ravel() for value in trainer.state_dict().values()])

trainer, expected = [mpsmnist.Trainer(device="cpu", init="he", momentum=0.9, threads=1) for _ in range(2)]
small = np.zeros((2, 28, 28), np.uint8), np.array([3, 4])
large = np.zeros((4096, 28, 28), np.uint8), np.zeros(4096, np.int64)
for each in (trainer, expected):
    each.step_async(*small).result()  # what a step needs besides its batch is there from now on

# Room for the large batch's 13 MB of pixels, but not for its activations, of more than 100 kB an image.
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), resource.RLIM_INFINITY))

failing, after = trainer.step_async(*large), trainer.step_async(*small)
for pending in (failing, after):
    try:
        print("a loss:", pending.result())
    except mpsmnist.DeviceError as error:
        print(error)
print("steps:", trainer.steps)
print("weights kept:", np.array_equal(flat(trainer), flat(expected)))
for _ in range(2):
    print("same loss:", trainer.step(*small) == expected.step(*small))
    print("same weights:", np.array_equal(flat(trainer), flat(expected)))
    try:
        print("a loss:", trainer.step(*large))
    except mpsmnist.DeviceError as error:
        print(error)
"""


@limits_memory
def test_training_goes_on_after_failed_steps():
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == [
        "[cpu] out of memory for a batch of 4096 images",
        "[cpu] a step before this one failed",
        "steps: 1",
        "weights kept: True",
        *2 * ["same loss: True", "same weights: True", "[cpu] out of memory for a batch of 4096 images"],
    ]
