"""The doctor: what it says of good devices, and that it finds a bad one."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpsmnist
from mpsmnist.commands import examination
from mpsmnist.doctor import Finding, examine, main


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "TRAINING_STEPS", 2)
    monkeypatch.setattr(examination, "LATENCY_STEPS", 1)
    monkeypatch.setattr(examination, "LATENCY_BATCHES", (2,))
    monkeypatch.setattr(examination, "BATCH_SIZE", 4)


class FakeGpu:
    """The CPU engine under the GPU's name, with a mistake on request."""

    def __init__(self, device: str = "auto", **options: Any) -> None:
        self._trainer = mpsmnist.Trainer(device="cpu", **options)
        self._is_fake = device == "mps"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)


def fake(monkeypatch: pytest.MonkeyPatch, **mistakes: Callable[..., Any]) -> None:
    """Makes "mps" a CPU engine whose named methods are replaced by mistake(right method, *arguments)."""

    class Gpu(FakeGpu):
        def __getattr__(self, name: str) -> Any:
            right = super().__getattr__(name)
            if not self._is_fake or name not in mistakes:
                return right
            return lambda *arguments: mistakes[name](right, *arguments)

    monkeypatch.setattr(examination, "Trainer", Gpu)


def failures(findings: list[Finding]) -> list[str]:
    return [finding.name for finding in findings if finding.verdict == "FAIL"]


def test_the_devices_here_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["agreed"] is True
    assert report["machine"]["mpsmnist"] == mpsmnist.__version__
    assert {finding["device"] for finding in report["findings"]} == {"cpu", "mps"}


def test_text_names_the_machine_and_ends_with_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"mpsmnist: {mpsmnist.__version__}"
    assert lines[-1] == "All devices agree."


def test_a_good_gpu_passes_and_its_ties_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch)
    findings = list(examine())
    assert failures(findings) == []
    (ties,) = [finding for finding in findings if finding.name == "pooling ties"]
    assert ties.verdict == "info"
    assert ties.detail.startswith("the first maximum in row-major order")


def test_a_wrong_gradient_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(right: Callable[..., mpsmnist.Gradients], *batch: Any) -> mpsmnist.Gradients:
        gradients = right(*batch)
        gradients["conv1.weight"][0, 0, 0, 0] += np.abs(gradients["conv1.weight"]).max()
        return gradients

    fake(monkeypatch, gradients=wrong)
    assert main([]) == 1
    output = capsys.readouterr().out
    assert "FAIL  mps  gradient of conv1.weight" in output
    assert "please send this text" in output


def test_a_wrong_update_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(right: Callable[..., float], *batch: Any) -> float:
        right(*batch)
        return right(*batch)

    fake(monkeypatch, step=twice)
    assert failures(list(examine())) == ["one step", "training, momentum 0", "training, momentum 0.9"]


@pytest.mark.parametrize(("error", "expected"), [(0.005, ["one step"]), (0.02, ["one step", "training"])])
def test_training_allows_an_error_of_one_percent(
    monkeypatch: pytest.MonkeyPatch, error: float, expected: list[str]
) -> None:
    fake(monkeypatch, step=lambda right, *batch: right(*batch) * (1 + error))
    assert sorted({name.partition(",")[0] for name in failures(list(examine()))}) == expected


def test_a_cpu_whose_bits_depend_on_its_threads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(FakeGpu):
        def __init__(self, device: str = "auto", threads: int | None = None, **options: Any) -> None:
            super().__init__(device, threads=threads, **options)
            self._error = 0 if threads == 1 else 1

        def state_dict(self) -> dict[str, Any]:
            state = self._trainer.state_dict()
            state["fc1.bias"] += self._error
            return state

    monkeypatch.setattr(examination, "Trainer", Careless)
    (finding,) = [finding for finding in examine() if finding.name == "repeatable"]
    assert (finding.device, finding.verdict) == ("cpu", "FAIL")
    assert finding.detail.endswith("different bits")


@pytest.mark.parametrize("parameter", ["conv0.weight", "fc1.bias"])
def test_a_nan_in_any_update_is_found(monkeypatch: pytest.MonkeyPatch, parameter: str) -> None:
    """NaN is neither more nor less than a number, so a plain maximum would miss it."""

    def poisoned(right: Callable[[], Any]) -> Any:
        return (state := right()) | {parameter: np.full_like(state[parameter], np.nan)}

    fake(monkeypatch, state_dict=poisoned)
    found = failures(list(examine()))
    assert found == ["initial weights", "one step", "training, momentum 0", "training, momentum 0.9"]


def test_a_nan_loss_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, step=lambda right, *batch: right(*batch) * float("nan"))
    assert failures(list(examine())) == ["one step", "training, momentum 0", "training, momentum 0.9"]


@pytest.mark.parametrize(("listed", "verdict"), [(["mps", "cpu"], "FAIL"), (["cpu"], "info")])
def test_a_listed_gpu_that_does_not_start_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, listed: list[str], verdict: str
) -> None:
    class Gpu(FakeGpu):
        def __init__(self, device: str = "auto", **options: Any) -> None:
            if device == "mps":
                raise mpsmnist.DeviceError("[mps device] Metal returned no command queue")
            super().__init__(device, **options)

    monkeypatch.setattr(examination, "Trainer", Gpu)
    monkeypatch.setattr(examination, "devices", lambda: listed)
    (finding,) = [finding for finding in examine() if finding.device == "mps"]
    assert (finding.name, finding.verdict) == ("device", verdict)
    assert "no command queue" in finding.detail


def test_a_device_error_in_a_timing_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(right: Callable[..., float], *batch: Any) -> float:
        if len(batch[0]) == examination.LATENCY_BATCHES[0]:
            raise mpsmnist.DeviceError("[mps compile] no executable at batch size 2")
        return right(*batch)

    fake(monkeypatch, step=small)
    assert failures(list(examine())) == ["latency"]


def test_wrong_predictions_and_weights_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, predict=lambda right, images: right(images)[::-1])
    assert failures(list(examine())) == ["prediction"]


def test_a_device_error_is_a_failure_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise mpsmnist.DeviceError("[mps gradients] the GPU caught fire")

    fake(monkeypatch, gradients=broken)
    findings = list(examine())
    assert failures(findings) == ["gradients", "pooling ties"]
    assert "the GPU caught fire" in next(f.detail for f in findings if f.name == "gradients")
    assert "latency, batch 2" in [f.name for f in findings if f.device == "mps"]


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((1, 0, 0, 0), "the first"),
        ((0, 0, 0, 1), "the last"),
        ((0.25, 0.25, 0.25, 0.25), "equal maxima share"),
        ((1, 1, 1, 1), "every equal maximum"),
        ((0, 1, 0, 0), "an unknown convention"),
    ],
)
def test_tie_conventions(shares: tuple[float, ...], words: str) -> None:
    assert examination._tie_convention(list(shares)).startswith(words)


def test_an_abort_names_the_check() -> None:
    code = (
        "import os, runpy\n"
        "from mpsmnist import _core\n"
        "def abort(**_): os.abort()\n"
        "_core.Trainer = abort\n"
        "runpy.run_module('mpsmnist.doctor', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGABRT
    assert "in _examine_cpu" in done.stderr
