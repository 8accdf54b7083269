"""Words of messages."""

from __future__ import annotations

import pytest

from mpsmnist.wording import counted, listed, printable, sized


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a word", "a word"),
        ("two\n lines\t", "two lines"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\u202e\udcff é", r"\u202e\udcff é"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 197 + "..."),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_list_is_cut() -> None:
    assert listed([]) == ""
    assert listed(map(str, range(12))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"
    assert listed(map(str, range(14))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"
    assert listed(["\x1b", "y" * 41]) == r"\x1b, " + "y" * 37 + "..."
