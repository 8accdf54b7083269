"""What must hold for every input that others made, each kind in a file of its own.

A target has files to begin with, made by code; a check of any bytes in their place; and a Hypothesis test
of the round trip of what is written. Two drivers use the same functions: tests/data/test_properties.py, in
a few seconds and always alike, and scripts/fuzz with atheris, for as long as one likes, guided by coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
        seeds: makes whole files; mutations begin with them.
        check: raises AssertionError if a file of these bytes is not read as it should be, or refused.
        round_trip: a Hypothesis test without arguments.
    """

    seeds: Callable[[], Sequence[bytes]]
    check: Callable[[bytes], None]
    round_trip: Callable[[], None]
