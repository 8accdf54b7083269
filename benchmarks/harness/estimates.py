"""The statistics: medians, spreads, and ratios with intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Name = TypeVar("Name", bound=Hashable)
Rounds = Sequence[Sequence[float]]  # seconds per step: one list per round
RESAMPLES = 2000
INTERVAL = (2.5, 97.5)


class Spread(NamedTuple):
    """Seconds per step. Low and high are the fastest and the slowest round's medians."""

    median: float
    p90: float
    p99: float
    low: float
    high: float


class Ratio(NamedTuple):
    """How many times as fast as the fastest reference, with a 95% bootstrap interval."""

    value: float
    low: float
    high: float


def spread(rounds: Rounds) -> Spread:
    every = np.concatenate([np.asarray(times) for times in rounds])
    medians = [float(np.median(times)) for times in rounds]
    median, p90, p99 = (float(value) for value in np.percentile(every, (50, 90, 99)))
    return Spread(median, p90, p99, min(medians), max(medians))


def ratios_to_fastest(times: Mapping[Name, Rounds], references: Sequence[Name]) -> dict[Name, Ratio]:
    """The time of the fastest of `references` over that of each contestant; nothing when there are none.

    The time of a contestant is the median of its rounds' medians.
    Rounds are resampled, the same ones for everybody: contestants of a round ran side by side, and what
    disturbs one round disturbs them alike. Each resample has its own fastest reference.
    """
    if not references:
        return {}
    medians = {name: _round_medians(rounds) for name, rounds in times.items()}
    count = len(next(iter(medians.values())))
    picks = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    resampled = {name: np.median(values[picks], axis=1) for name, values in medians.items()}
    fastest = np.min([resampled[name] for name in references], axis=0)
    typical = {name: float(np.median(values)) for name, values in medians.items()}
    fastest_reference = min(typical[name] for name in references)
    result = {}
    for name, values in resampled.items():
        low, high = np.percentile(fastest / values, INTERVAL)
        result[name] = Ratio(fastest_reference / typical[name], float(low), float(high))
    return result


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The median and its 95% bootstrap interval."""
    array: NDArray[Any] = np.asarray(values, np.float64)
    picks = np.random.default_rng(0).integers(0, len(array), (RESAMPLES, len(array)))
    # No interpolation: a run that never got there counts as infinite.
    low, high = np.percentile(np.median(array[picks], axis=1), INTERVAL, method="nearest")
    return float(np.median(array)), float(low), float(high)


def _round_medians(rounds: Rounds) -> NDArray[np.float64]:
    return np.array([np.median(times) for times in rounds])
