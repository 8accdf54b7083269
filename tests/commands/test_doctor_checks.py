"""What each check finds in a device with a mistake, and only that check."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpsmnist
from mpsmnist.examination import checks, measurements, numbers, subjects
from mpsmnist.examination.ties import judge_shares
from support.doctors import QUICK, FakeGpu, check_here, failures, fake

STEP_CHECKS = ["mps/step", "mps/training/0", "mps/training/0.9"]
BY_STEP = ["mps/run/0", "mps/run/0.9", "mps/step-async/0", "mps/step-async/0.9"]


def failing(only: str = "mps/*") -> list[str]:
    return failures(check_here(only).values())


def test_a_good_gpu_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch)
    assert failing() == []


@pytest.mark.parametrize("size", QUICK.sizes)
def test_a_wrong_gradient_of_one_batch_size_is_found(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    def wrong(right: Callable[..., mpsmnist.Gradients], images: Any, labels: Any) -> mpsmnist.Gradients:
        gradients = right(images, labels)
        if len(images) == size:
            gradients["conv1.weight"][0, 0, 0, 0] += np.abs(gradients["conv1.weight"]).max()
        return gradients

    fake(monkeypatch, gradients=wrong)
    assert failing("mps/gradients/*") == [f"mps/gradients/{size}"]


def test_the_error_that_is_told_is_the_worst_beside_its_own_limit() -> None:
    """A weight's gradient of many images may differ by more than a loss may."""
    errors = {"conv0.weight, 10 classes": 9e-3, "fc1.weight, 10 classes": 1e-3}
    outcome = numbers._judged_by_tolerance(errors, 256)
    assert outcome.verdict == "FAIL"
    assert outcome.detail == "worst relative error 1.0e-03 (fc1.weight, 10 classes; at most 1e-04)"
    assert outcome.values["tolerance"] == {"conv0.weight, 10 classes": 1e-2, "fc1.weight, 10 classes": 1e-4}


@pytest.mark.parametrize(
    ("listed", "facts", "detail"),
    [
        (["mps", "cpu"], {"gpu": "Apple M1"}, 'opened; "auto" takes it'),
        (["cpu", "mps"], {"passed_over": "it is Intel's"}, 'opened; "auto" does not take it: it is Intel\'s'),
    ],
)
def test_a_gpu_that_opens_says_whether_auto_takes_it(
    monkeypatch: pytest.MonkeyPatch, listed: list[str], facts: dict[str, str], detail: str
) -> None:
    fake(monkeypatch)
    monkeypatch.setattr(checks, "devices", lambda: listed)
    monkeypatch.setattr(checks, "describe_devices", lambda: {"mps": facts})
    finding = check_here("mps/device")["mps/device"]
    assert (finding.verdict, finding.detail, finding.values) == ("ok", detail, facts)


def test_latency_says_what_is_a_mean() -> None:
    seconds = {"step_median": 2e-3, "step_fastest": 1e-3, "run": 1e-3, "encode": 5e-4, "gpu": 1e-3}
    assert measurements._in_words(seconds, 1.0).endswith(
        "; means by step: encoding 0.50 ms, GPU 1.00 ms, roots per step 1"
    )


@pytest.mark.parametrize("size", QUICK.sizes)
def test_wrong_predictions_of_one_batch_size_are_found(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    fake(monkeypatch, predict=lambda right, images: right(images) + (0.01 if len(images) == size else 0))
    assert failing("mps/predictions/*") == [f"mps/predictions/{size}"]


def test_labels_taken_as_classes_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def hard(right: Callable[..., Any], images: Any, labels: Any) -> Any:
        return right(images, labels if labels.ndim == 1 else labels.argmax(axis=1))

    fake(monkeypatch, gradients=hard)
    assert failing("mps/[gips]*") == ["mps/soft-labels"]


def test_a_wrong_update_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(right: Callable[..., float], *batch: Any) -> float:
        right(*batch)
        return right(*batch)

    fake(monkeypatch, step=twice)
    assert failing() == [*STEP_CHECKS, *BY_STEP]


@pytest.mark.parametrize(("error", "expected"), [(0.005, STEP_CHECKS[:1]), (0.02, STEP_CHECKS)])
def test_training_allows_an_error_of_one_percent(
    monkeypatch: pytest.MonkeyPatch, error: float, expected: list[str]
) -> None:
    fake(monkeypatch, step=lambda right, *batch: right(*batch) * (1 + error))
    assert [id_ for id_ in failing() if id_ in STEP_CHECKS] == expected


@pytest.mark.parametrize("parameter", ["conv0.weight", "fc1.bias"])
def test_a_nan_in_any_update_is_found(monkeypatch: pytest.MonkeyPatch, parameter: str) -> None:
    """NaN is neither more nor less than a number, so a plain maximum would miss it."""

    def poisoned(right: Callable[[], Any]) -> Any:
        return (state := right()) | {parameter: np.full_like(state[parameter], np.nan)}

    fake(monkeypatch, state_dict=poisoned)
    found = [id_ for id_ in failing() if id_ not in BY_STEP]
    assert found == ["mps/initial-weights", *STEP_CHECKS]


def test_a_nan_loss_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, step=lambda right, *batch: right(*batch) * float("nan"))
    assert failing() == [*STEP_CHECKS, "mps/repeatable", *BY_STEP]


def swapped(right: Callable[..., Any], images: Any, labels: Any, batches: Any) -> Any:
    return right(images, labels, batches[[1, 0, *range(2, len(batches))]])


def test_steps_in_another_order_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, run=swapped)
    findings = check_here("mps/run/*")
    assert failures(findings.values()) == ["mps/run/0", "mps/run/0.9"]
    assert findings["mps/run/0"].values["first_step"] == 1
    assert findings["mps/run/0"].values["noise"] == 0
    assert "losses from step 1 on" in findings["mps/run/0"].detail


def noisy(size: float) -> Callable[..., Any]:
    """A state whose bits are never the same twice."""
    generator = np.random.default_rng(0)

    def state(right: Callable[[], Any]) -> Any:
        values = right()
        return values | {"fc1.bias": values["fc1.bias"] + size * generator.random(10, np.float32)}

    return state


def test_a_device_that_does_not_repeat_itself_may_differ_as_much_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, state_dict=noisy(1e-6))
    findings = check_here("mps/r*")
    assert {finding.verdict for finding in findings.values()} == {"info"}
    fake(monkeypatch, state_dict=noisy(1e-6), run=swapped)
    assert failing("mps/r*") == ["mps/run/0", "mps/run/0.9"]
    fake(monkeypatch, state_dict=noisy(1))
    assert failing("mps/repeatable") == ["mps/repeatable"]


def test_a_cpu_whose_bits_depend_on_its_threads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(FakeGpu):
        def __init__(self, device: str = "auto", threads: int | None = None, **options: Any) -> None:
            super().__init__(device, threads=threads, **options)
            self._error = 0 if threads == 1 else 1

        def state_dict(self) -> dict[str, Any]:
            state = self._trainer.state_dict()
            state["fc1.bias"] += self._error
            return state

    monkeypatch.setattr(subjects, "Trainer", Careless)
    findings = check_here("cpu/*")
    assert failures(findings.values()) == ["cpu/threads"]
    assert findings["cpu/threads"].detail.endswith("different bits")


def test_a_cpu_that_does_not_repeat_itself_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noisy(FakeGpu):
        state = staticmethod(noisy(1e-6))

        def state_dict(self) -> Any:
            return self.state(self._trainer.state_dict)

    monkeypatch.setattr(subjects, "Trainer", Noisy)
    assert failing("cpu/r*e") == ["cpu/repeatable"]


@pytest.mark.parametrize(
    ("shares", "verdict", "words"),
    [
        ((1, 0, 0, 0), "ok", "the first"),
        ((0, 0, 0, 1), "ok", "the last"),
        ((0.25, 0.25, 0.25, 0.25), "ok", "equal maxima share"),
        ((0, 1, 0, 0), "ok", "an unknown convention"),
        ((1, 1, 1, 1), "FAIL", "an unknown convention"),
        ((0.25, 0, 0, 0), "FAIL", "an unknown convention"),
        ((float("nan"), 0, 0, 1), "FAIL", "an unknown convention"),
    ],
)
def test_shares_of_ties_sum_to_one(shares: tuple[float, ...], verdict: str, words: str) -> None:
    outcome = judge_shares(list(shares))
    assert outcome.verdict == verdict
    assert outcome.detail.startswith(words)
    assert outcome.detail.endswith(f"their sum {sum(shares):.2f}, must be 1)")


def hold(size: int) -> mmap.mmap:
    """Resident memory, until it is closed. Not malloc's, which may give out what earlier tests freed."""
    memory = mmap.mmap(-1, size)
    memory.write(b"1" * size)
    return memory


def test_memory_that_grows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    leaked = []

    def leak(right: Callable[..., float], *batch: Any) -> float:
        leaked.append(hold(2**23))
        return right(*batch)

    fake(monkeypatch, step=leak)
    assert failing("mps/memory") == ["mps/memory"]


def test_memory_that_grows_on_the_device_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    allocated = iter(range(0, 10**9, 10**8))
    fake(monkeypatch, diagnostics=lambda right: right() | {"allocated_bytes": next(allocated)})
    assert failing("mps/memory") == ["mps/memory"]


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_resident_bytes_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    if platform != sys.platform and not Path("/bin/ps" if platform == "darwin" else "/proc").exists():
        pytest.skip("this system does not tell it in that way")
    monkeypatch.setattr(sys, "platform", platform)
    before = measurements.resident_bytes()
    with hold(2**26):
        assert 2**25 < measurements.resident_bytes() - before < 2**28


@pytest.mark.parametrize(("listed", "verdict"), [(["mps", "cpu"], "FAIL"), (["cpu"], "info")])
def test_a_listed_gpu_that_does_not_start_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, listed: list[str], verdict: str
) -> None:
    class Gpu(FakeGpu):
        def __init__(self, device: str = "auto", **options: Any) -> None:
            if device == "mps":
                raise mpsmnist.DeviceError("[mps device] Metal returned no command queue")
            super().__init__(device, **options)

    monkeypatch.setattr(subjects, "Trainer", Gpu)
    monkeypatch.setattr(checks, "devices", lambda: listed)
    finding = check_here("mps/device")["mps/device"]
    assert finding.verdict == verdict
    assert "no command queue" in finding.detail


def test_a_device_error_is_a_failure_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise mpsmnist.DeviceError("[mps gradients] the GPU caught fire")

    fake(monkeypatch, gradients=broken)
    findings = check_here()
    assert failures(findings.values()) == [
        "mps/gradients/1",
        "mps/gradients/3",
        "mps/soft-labels",
        "mps/ties",
    ]
    assert "the GPU caught fire" in findings["mps/gradients/1"].detail
