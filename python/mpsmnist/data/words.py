"""Words out of files, as messages may have them: short, in one line, and nothing that a terminal obeys."""

from collections.abc import Iterable
from itertools import islice

_MOST = 200  # characters of one text
_MOST_NAMES = 12


def printable(text: str, most: int = _MOST) -> str:
    """Escape what cannot be printed, put the text in one line, and cut it off after `most` characters."""
    line = " ".join(text.split())
    cut = line if len(line) <= most else line[: most - 3] + "..."
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)


def listed(names: Iterable[str]) -> str:
    """Name the first few, and how many more there are."""
    rest = iter(names)
    first = ", ".join(printable(name, 40) for name in islice(rest, _MOST_NAMES))
    more = sum(1 for _ in rest)
    return first + (f" and {more} more" if more else "")
