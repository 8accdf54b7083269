"""Check that this machine's devices compute the right results: `mpsmnist doctor`, or from Python.

from mpsmnist.doctor import examine

for finding in examine():
    print(finding)
"""

import sys
from collections.abc import Sequence

from .commands.main import run_subcommand

if __name__ == "__main__":  # before the other imports: the command does its own, where Ctrl-C is handled
    sys.exit(run_subcommand("doctor", "python -m mpsmnist.doctor"))

from .examination import Extent, Finding, describe_machine, examine

__all__ = ["Extent", "Finding", "describe_machine", "examine", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_subcommand("doctor", "python -m mpsmnist.doctor", argv)
