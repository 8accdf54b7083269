"""How much is examined."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Extent:
    """Sizes and numbers of steps. The default takes less than two minutes on a Mac's GPU, we expect.

    Raises TypeError or ValueError for what is no positive number, or no numbers at all.
    """

    sizes: tuple[int, ...] = (1, 2, 3, 16, 17, 64, 256)  # batch sizes of gradients and predictions
    classes: tuple[int, ...] = (2, 10, 47)
    batch_size: int = 16  # of the checks that are about something else
    training_steps: int = 20
    flight_steps: int = 64
    latency_sizes: tuple[int, ...] = (1, 16, 64, 256)
    latency_steps: int = 30
    memory_steps: int = 500
    silence: float = 60.0  # seconds without a word from a child process that make a hang

    def __post_init__(self) -> None:
        """Check every field."""
        for field in fields(self):
            value, default = getattr(self, field.name), field.default
            if isinstance(default, tuple):
                good = isinstance(value, Sequence) and not isinstance(value, str)
                _require(good, TypeError, field.name, value, "a tuple of whole numbers")
                _require(len(value) > 0, ValueError, field.name, value, "at least one number")
                for each in value:
                    _require_positive(field.name, each, int)
            else:
                _require_positive(field.name, value, float if isinstance(default, float) else int)


def _require_positive(name: str, value: object, kind: type) -> None:
    words = "a whole number" if kind is int else "a number"
    good = isinstance(value, (int, kind)) and not isinstance(value, bool)
    _require(good, TypeError, name, value, words)
    _require(0 < value < math.inf, ValueError, name, value, f"{words} above 0")  # type: ignore[operator]


def _require(good: bool, error: type[Exception], name: str, value: object, expected: str) -> None:
    if not good:
        raise error(f"{name}: {value!r}, expected {expected}")
