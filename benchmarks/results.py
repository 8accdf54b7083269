"""RESULTS.md with its tables, and the pictures, made anew from the summaries in results/.

    python benchmarks/results.py            # prints the page
    python benchmarks/results.py --write    # writes it
    python benchmarks/results.py --draw     # draws each picture that is in results/ anew

A new result: put its summary into results/, name it where its table belongs on the page, run this.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.environment import BENCHMARKS
from harness.page import drawn_anew
from harness.summaries import read

PAGE = BENCHMARKS / "RESULTS.md"
SUMMARIES = BENCHMARKS / "results"


def main(arguments: Sequence[str]) -> int:
    """Print or write the page, or draw the pictures."""
    parser = argparse.ArgumentParser(
        description="The tables and pictures of RESULTS.md, from results/*.json."
    )
    parser.add_argument("--write", action="store_true", help="write RESULTS.md instead of printing it")
    parser.add_argument("--draw", action="store_true", help="draw the pictures in results/ anew instead")
    options = parser.parse_args(arguments)
    if options.draw:
        draw_pictures(SUMMARIES)
        return 0
    page = drawn_anew(PAGE.read_text("utf-8"), SUMMARIES)
    if options.write:
        PAGE.write_text(page, "utf-8")
    else:
        print(page, end="")
    return 0


def draw_pictures(folder: Path) -> None:
    """Draw every picture in the folder anew, each from the summary of its name."""
    from harness.plots import draw  # noqa: PLC0415 (matplotlib is optional)

    for picture in sorted(folder.glob("*.png")):
        draw(read(picture.with_suffix(".json")), picture)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
