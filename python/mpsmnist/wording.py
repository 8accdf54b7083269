"""Words of messages for people."""

from collections.abc import Iterable
from itertools import islice

_MOST_NAMES = 12


def counted(number: int, noun: str) -> str:
    """Put a number before a noun whose plural ends in s: "1 step", "2,000 steps"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def sized(size: int) -> str:
    """Say how many bytes there are, in decimal units: "512 bytes", "67 MB", "1.2 GB"."""
    if size < 1000:
        return counted(size, "byte")
    amount, units = size / 1000, ["kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.{1 if amount < 9.95 else 0}f} {units[0]}"


def printable(text: str, most: int = 200) -> str:
    """Put text out of a file in one line of `most` characters, and escape what a terminal would obey."""
    line = " ".join(text.split())
    cut = line if len(line) <= most else line[: most - 3] + "..."
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)


def listed(names: Iterable[str]) -> str:
    """Name the first few, and say how many more there are."""
    rest = iter(names)
    first = ", ".join(printable(name, 40) for name in islice(rest, _MOST_NAMES))
    more = sum(1 for _ in rest)
    return first + (f" and {more} more" if more else "")
