"""What the doctor says of each fault that hardware may have: the line that fails, and that no other does.

Only the host implementation of tests/objc_host can be told to have them, so these run on its build alone.
"""

from __future__ import annotations

import dataclasses

import pytest

from mpsmnist.examination import catalogue, examine
from support import host
from support.doctors import QUICK, failures

host.load()

IN_FLIGHT = ["mps/run/0", "mps/run/0.9", "mps/step-async/0", "mps/step-async/0.9"]
ALL = [check.id for check in catalogue(QUICK) if check.device == "mps"]


@pytest.mark.parametrize(
    ("fault", "failing", "words"),
    [
        ("wrong-gradient=1", ["mps/gradients/1"], "worst relative error"),
        ("double-ties", ["mps/ties"], "their sum 3.87"),
        ("stale-weights-in-flight", IN_FLIGHT, "updates differ from those one by one"),
        (
            "abort-in-compile=3",
            ["mps/gradients/3"],
            "ended by SIGABRT at: 3 images, 10 classes; last words: objc_host: planted: "
            "MPSGraph does not like this graph",
        ),
        (
            "exception=3",
            ["mps/gradients/3"],
            "NSInvalidArgumentException: planted: MPSGraph does not like this run",
        ),
        ("hang=3", ["mps/gradients/3"], "silent for 6 seconds at: 3 images, 10 classes"),
        ("leak=1000000", ["mps/memory"], "MiB in the process"),
    ],
)
def test_a_fault_fails_its_line_alone(
    monkeypatch: pytest.MonkeyPatch, fault: str, failing: list[str], words: str
) -> None:
    monkeypatch.setenv("MPSMNIST_OBJC_HOST_FAULTS", fault)
    findings = {finding.id: finding for finding in examine("mps/*", dataclasses.replace(QUICK, silence=6))}
    assert list(findings) == ALL
    assert failures(findings.values()) == failing
    assert all(words in findings[id_].detail for id_ in failing)


def test_without_a_fault_every_line_passes() -> None:
    findings = list(examine("mps/*", QUICK))
    assert [finding.id for finding in findings] == ALL
    assert failures(findings) == []


def test_a_fault_that_does_not_exist_is_no_fault_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPSMNIST_OBJC_HOST_FAULTS", "wrong-gradients=1")
    findings = list(examine("mps/step", QUICK))
    assert "no fault 'wrong-gradients'" in findings[-1].detail
