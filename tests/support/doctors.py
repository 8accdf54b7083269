"""Examinations that are over soon, and devices with mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from typing import Any

import pytest

import mpsmnist
from mpsmnist.examination import Extent, Finding, catalogue, subjects

QUICK = Extent(
    sizes=(1, 3),
    classes=(10,),
    batch_size=2,
    training_steps=2,
    flight_steps=4,
    latency_sizes=(2,),
    latency_steps=2,
    memory_steps=10,
)


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

    monkeypatch.setattr(subjects, "Trainer", Gpu)


def check_here(only: str = "mps/*") -> dict[str, Finding]:
    """Runs checks in this process, where fakes are; the findings by id."""
    return {
        check.id: check.run(QUICK, lambda _doing: None)
        for check in catalogue(QUICK)
        if fnmatch(check.id, only)
    }


def failures(findings: Iterable[Finding]) -> list[str]:
    return [finding.id for finding in findings if finding.verdict == "FAIL"]
