"""What the doctor examines: whether this machine's devices compute the right results.

Every device is compared with the CPU engine, from the same weights and batches: initial weights, one step,
gradients, predictions, and 20 steps of training.
"""

import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .._core import DEVICES, Trainer, __version__, devices
from ..errors import DeviceError
from ..wording import counted

FloatArray = NDArray[np.float32]

# Both engines compute in float32 and differ only in the order of their sums: a few hundred times float32's
# epsilon (6e-8) at most over sums of up to 3136 x 16 terms. A wrong kernel is off by far more.
TOLERANCE = 1e-4
# Over many steps some updates are so small that the weights' own rounding shows in them, and now and then a
# near-tie in a ReLU or pool goes the other way in a correct engine: 4e-4 was seen.
TRAINING_TOLERANCE = 1e-2
BATCH_SIZE = 16
TRAINING_STEPS = 20
LATENCY_BATCHES = (16, 64)
LATENCY_STEPS = 30


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    device: str
    name: str
    verdict: Literal["ok", "FAIL", "info"]
    detail: str


def describe_machine() -> dict[str, str]:
    """Return versions, system, processor and devices, for people to read."""
    return {
        "mpsmnist": __version__,
        "Python": f"{platform.python_version()}, NumPy {np.__version__}",
        "system": f"{platform.platform()}, {platform.machine()}",
        "processor": f"{_processor_name()}, {counted(os.cpu_count() or 1, 'core')}",
        "devices": ", ".join(devices()),
    }


def examine() -> Iterator[Finding]:
    """Yield the findings for every device that the core knows, the CPU first."""
    yield from _examine_cpu()
    yield from _latencies("cpu")
    for device in DEVICES:
        if device != "cpu":
            yield from _examine_device(device)


def _examine_device(device: str) -> Iterator[Finding]:
    try:
        Trainer(device=device)
    except DeviceError as error:
        if device in devices():
            yield Finding(device, "device", "FAIL", str(error))
        else:
            yield Finding(device, "device", "info", f"nothing to check: {error}")
        return
    for name, check in CHECKS.items():
        try:
            yield from check(device)
        except DeviceError as error:
            yield Finding(device, name, "FAIL", str(error))


def _examine_cpu() -> Iterator[Finding]:
    """Compare the CPU engine, the reference for the others, with itself: one thread and all threads."""
    states = [_trained_state("cpu", threads) for threads in (1, None)]
    same = all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
    detail = f"{TRAINING_STEPS} steps with 1 thread and with {Trainer(device='cpu').threads}: "
    yield _judged("cpu", "repeatable", same, detail + ("the same bits" if same else "different bits"))


def _trained_state(device: str, threads: int | None) -> dict[str, FloatArray]:
    trainer = Trainer(device=device, init="he", momentum=0.9, threads=threads)
    for step in range(TRAINING_STEPS):
        trainer.step(*_batch(step))
    return trainer.state_dict()


def _check_initial_weights(device: str) -> Iterator[Finding]:
    expected, found = (Trainer(device=d, seed=7).state_dict() for d in ("cpu", device))
    same = all(np.array_equal(expected[name], found[name]) for name in expected)
    yield _judged(device, "initial weights", same, "the same bits" if same else "different bits")


def _check_step(device: str) -> Iterator[Finding]:
    reference, trainer = _pair(device)
    before = reference.state_dict()
    losses = [each.step(*_batch(0)) for each in (reference, trainer)]
    worst, name = _worst_change(before, reference.state_dict(), trainer.state_dict())
    loss_error = abs(losses[1] - losses[0]) / abs(losses[0])
    detail = f"loss {losses[1]:.6f}, relative error {loss_error:.1e}; updates {worst:.1e} (worst: {name})"
    yield _judged(device, "one step", loss_error <= TOLERANCE and worst <= TOLERANCE, detail)


def _check_gradients(device: str) -> Iterator[Finding]:
    expected, found = (each.gradients(*_batch(0)) for each in _pair(device))
    for name in expected:
        error = _relative_error(expected[name], found[name])
        yield _judged(device, f"gradient of {name}", error <= TOLERANCE, f"relative error {error:.1e}")


def _check_prediction(device: str) -> Iterator[Finding]:
    expected, found = (each.predict(_batch(0)[0]) for each in _pair(device))
    error = float(np.abs(expected - found).max())
    yield _judged(
        device, "prediction", error <= TOLERANCE, f"largest difference in a probability {error:.1e}"
    )


def _check_training(device: str) -> Iterator[Finding]:
    """Compare single steps from the CPU's weights: near-ties make two correct runs drift apart."""
    for momentum in (0.0, 0.9):
        reference, trainer = (Trainer(device=d, init="he", momentum=momentum) for d in ("cpu", device))
        errors: dict[str, float] = {}
        for step in range(TRAINING_STEPS):
            before = reference.state_dict()
            trainer.load_state_dict(before)
            losses = [each.step(*_batch(step)) for each in (reference, trainer)]
            error, name = _worst_change(before, reference.state_dict(), trainer.state_dict())
            errors[f"step {step + 1}, {name}"] = error
            errors[f"step {step + 1}, loss"] = abs(losses[1] - losses[0]) / abs(losses[0])
        worst, where = _worst(errors)
        detail = f"{TRAINING_STEPS} steps, worst relative error {worst:.1e} ({where})"
        yield _judged(device, f"training, momentum {momentum:g}", worst <= TRAINING_TOLERANCE, detail)


def _name_ties(device: str) -> Iterator[Finding]:
    """Say which of four equal maxima a pool's gradient goes to: Apple does not document it, so any may pass.

    With zero conv0 weights every conv0 output equals the bias, so every window is a tie, whatever the image.
    If an image is 1 at one place of each 2x2 window and 0 elsewhere, the gradient at the kernel's centre is
    that place's share.
    """
    reference, trainer = _pair(device)
    state = reference.state_dict()
    state["conv0.weight"] = np.zeros_like(state["conv0.weight"])
    state["conv0.bias"] = np.full_like(state["conv0.bias"], 0.1)
    reference.load_state_dict(state)
    trainer.load_state_dict(state)
    shares = []
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        image = np.zeros((1, 28, 28), np.float32)
        image[:, row::2, column::2] = 1
        whole = reference.gradients(image, [0])["conv0.bias"]
        centre = trainer.gradients(image, [0])["conv0.weight"][2, 2, 0]
        shares.append(float(centre @ whole / (whole @ whole)))
    yield Finding(device, "pooling ties", "info", f"{_tie_convention(shares)} (shares {_rounded(shares)})")


def _tie_convention(shares: list[float]) -> str:
    conventions = {
        "the first maximum in row-major order gets the gradient, as on the CPU": (1, 0, 0, 0),
        "the last maximum in row-major order gets the gradient; on the CPU the first": (0, 0, 0, 1),
        "equal maxima share the gradient; on the CPU the first gets it": (0.25, 0.25, 0.25, 0.25),
        "every equal maximum gets the whole gradient; on the CPU the first": (1, 1, 1, 1),
    }
    for words, expected in conventions.items():
        if np.allclose(shares, expected, atol=1e-3):
            return words
    return "an unknown convention; on the CPU the first maximum gets the gradient"


def _latencies(device: str) -> Iterator[Finding]:
    for size in LATENCY_BATCHES:
        trainer = Trainer(device=device, learning_rate=0.001)
        images, labels = _batch(0, size)
        trainer.step(images, labels)  # compiles, where there is something to compile
        times = [_seconds(lambda: trainer.step(images, labels)) for _ in range(LATENCY_STEPS)]  # noqa: B023
        detail = f"median {statistics.median(times) * 1e3:.2f} ms a step, fastest {min(times) * 1e3:.2f} ms"
        yield Finding(device, f"latency, batch {size}", "info", detail)


CHECKS: dict[str, Callable[[str], Iterator[Finding]]] = {
    "initial weights": _check_initial_weights,
    "one step": _check_step,
    "gradients": _check_gradients,
    "prediction": _check_prediction,
    "training": _check_training,
    "pooling ties": _name_ties,
    "latency": _latencies,
}


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _pair(device: str) -> tuple[Trainer, Trainer]:
    """Make the CPU's trainer and the device's, with the same weights."""
    reference, trainer = (Trainer(device=d, init="he", learning_rate=0.05) for d in ("cpu", device))
    trainer.load_state_dict(reference.state_dict())
    return reference, trainer


def _batch(step: int, size: int = BATCH_SIZE) -> tuple[FloatArray, NDArray[np.int64]]:
    """Make images of noise: unlike digits on a blank background, they have no pooling ties."""
    generator = np.random.default_rng(step)
    return generator.random((size, 28, 28), np.float32), generator.integers(0, 10, size)


def _relative_error(expected: FloatArray, found: FloatArray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def _worst_change(
    before: dict[str, FloatArray], expected: dict[str, FloatArray], found: dict[str, FloatArray]
) -> tuple[float, str]:
    """Return the largest relative error of a tensor's change, and its name."""
    return _worst({k: _relative_error(expected[k] - before[k], found[k] - before[k]) for k in expected})


def _worst(errors: dict[str, float]) -> tuple[float, str]:
    """Return the largest error and its name. A NaN counts as the largest; max() alone would miss it."""
    name = max(errors, key=lambda k: (math.isnan(errors[k]), errors[k]))
    return errors[name], name


def _judged(device: str, name: str, good: bool, detail: str) -> Finding:
    return Finding(device, name, "ok" if good else "FAIL", detail)


def _rounded(shares: list[float]) -> str:
    return ", ".join(f"{share:.2f}" for share in shares)


def _processor_name() -> str:
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return (
            subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
        )
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown"
