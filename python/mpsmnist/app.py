"""The page to watch training and draw digits on: `mpsmnist app`, or in a notebook as a cell's last line.

from mpsmnist.app import Page

Page()

Needs the extra: `pip install 'mpsmnist[app]'`.
"""

import sys
from collections.abc import Sequence

from .commands.main import run_subcommand

if __name__ == "__main__":  # before the other imports: the command does its own, where Ctrl-C is handled
    sys.exit(run_subcommand("app", "python -m mpsmnist.app"))

from .page import Page

__all__ = ["Page", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_subcommand("app", "python -m mpsmnist.app", argv)
