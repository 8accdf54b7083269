"""How every command is built and run: its parser, Ctrl-C, errors in one line, and exit codes."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .._core import __version__
from ..errors import Error
from .parser import Parser

DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


class UsageError(Exception):
    """The options make no sense: the command ends as it does for argparse's own errors."""


@dataclass(frozen=True)
class Command:
    """What a command's help says, the options it has, and what it does.

    `run` gets the parsed options and the program's name for messages, and returns the exit code. It may raise
    UsageError (exit code 2), Error or OSError (one line on stderr, exit code 1) and KeyboardInterrupt (130).
    """

    description: str
    epilog: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, str], int]


def make_parser(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Make a parser with what all commands have in common; `program` is what the user typed to run it."""
    parser = Parser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mpsmnist {__version__}")
    return parser


def run_command(command: Command, program: str, argv: Sequence[str] | None = None) -> int:
    """Parse `argv` (default: the process's arguments), run the command and return its exit code.

    For --help, --version and bad usage argparse raises SystemExit.
    """
    parser = make_parser(program, command.description, command.epilog)
    command.add_options(parser)
    arguments = parser.parse_args(argv)
    try:
        code = command.run(arguments, program)
        if sys.stdout is not None:  # it is where a process starts with a closed stdout
            sys.stdout.flush()  # here, where an error is still caught
        return code
    except UsageError as error:
        parser.error(str(error))
    except BrokenPipeError:
        # Whoever read stdout is gone; Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Error, OSError) as error:
        complain(program, error)
        return FAILED
    except KeyboardInterrupt:
        complain(program, "interrupted")
        return INTERRUPTED


def complain(program: str, message: object) -> None:
    """Print a message to stderr, after the program's name."""
    print(f"{program}: {message}", file=sys.stderr)


def positive_integer(text: str) -> int:
    """Convert an option's value, for add_argument(type=...)."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed. A second Ctrl-C ends the process at once."""
    pressed = False

    def handle(_signal: int, _frame: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
