"""Values that several command lines take, checked before anything runs."""

from __future__ import annotations

from argparse import ArgumentTypeError

from environment import usable_cpus


def positive(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise ArgumentTypeError(f"is {value}, expected a whole number above 0")
    return value


def thread_count(text: str) -> int:
    """A number of threads that have a CPU each."""
    value = positive(text)
    if value > len(usable_cpus()):
        raise ArgumentTypeError(f"is {value}, but only {len(usable_cpus())} CPUs may be used here")
    return value
