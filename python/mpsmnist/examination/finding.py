"""A line of the report."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["ok", "FAIL", "info"]


@dataclass(frozen=True)
class Outcome:
    """How a check ended: the verdict, a sentence for people, and the numbers behind it."""

    verdict: Verdict
    detail: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One line of the report. Its `id`, such as "mps/gradients/16", is the same in every version."""

    id: str
    device: str
    name: str
    verdict: Verdict
    detail: str
    values: Mapping[str, Any] = field(default_factory=dict)


def judged(good: bool, detail: str, **values: Any) -> Outcome:
    """Return "ok" or "FAIL"."""
    return Outcome("ok" if good else "FAIL", detail, values)


def worst(errors: Mapping[str, float]) -> tuple[float, str]:
    """Return the largest error and its name. A NaN counts as the largest; max() alone would miss it."""
    name = max(errors, key=lambda k: (math.isnan(errors[k]), errors[k]))
    return errors[name], name
