"""What the package's command lines have in common: exit codes, and errors told in one line."""

import os
import sys
from collections.abc import Callable

from .errors import Error

DONE, FAILED, INTERRUPTED = 0, 1, 130  # bad usage is argparse's 2


def complain(program: str, message: object) -> None:
    """Print an error to stderr."""
    print(f"{program}: {message}", file=sys.stderr)


def run_program(program: str, body: Callable[[], int]) -> int:
    """Return the exit code of `body`, or the one of the error that ended it, once that is told."""
    try:
        return body()
    except BrokenPipeError:
        # Whoever read stdout has gone; Python would complain once more when it flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Error, OSError) as error:
        complain(program, error)
        return FAILED
    except KeyboardInterrupt:
        complain(program, "interrupted")
        return INTERRUPTED
