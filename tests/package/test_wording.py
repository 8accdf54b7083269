"""Words of messages."""

from __future__ import annotations

import pytest

from mpsmnist.wording import counted, sized


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (1000, "1,000 steps")]
)
def test_one_is_singular(number: int, text: str) -> None:
    assert counted(number, "step") == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (9_960, "10 kB"),
        (999_499, "999 kB"),
        (999_501, "1.0 MB"),
        (54_880_000, "55 MB"),
        (1_234_567_890, "1.2 GB"),
        (10**15, "1000 TB"),
    ],
)
def test_sizes_have_two_digits_or_more(size: int, text: str) -> None:
    assert sized(size) == text
