"""RESULTS.md with its tables made anew from the summaries in results/.

    python benchmarks/results.py            # prints the page
    python benchmarks/results.py --write    # writes it

A new result: put its summary into results/, name it where its table belongs on the page, run this.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from harness.environment import BENCHMARKS
from harness.page import drawn_anew

PAGE = BENCHMARKS / "RESULTS.md"
SUMMARIES = BENCHMARKS / "results"


def main(arguments: Sequence[str]) -> int:
    """Print or write the page."""
    parser = argparse.ArgumentParser(description="The tables of RESULTS.md, from the summaries in results/.")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md instead of printing it")
    options = parser.parse_args(arguments)
    page = drawn_anew(PAGE.read_text("utf-8"), SUMMARIES)
    if options.write:
        PAGE.write_text(page, "utf-8")
    else:
        print(page, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
