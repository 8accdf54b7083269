"""How every command is built and run: its parser, signals, streams, errors in one line, and exit codes."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .._core import __version__
from ..errors import Error
from .parser import Parser
from .signals import Interrupted, check, deferred, handled
from .streams import flush_stdout, in_one_line, standard_streams

DONE, FAILED, BAD_USAGE = 0, 1, 2


class UsageError(Exception):
    """The options make no sense: the command ends as it does for argparse's own errors."""


@dataclass(frozen=True)
class Command:
    """What a command's help says, the options it has, and what it does.

    `run` gets the parsed options and the program's name for messages, and returns the exit code. It may raise
    UsageError (exit code 2), Error or OSError (one line on stderr, exit code 1) and Interrupted (its own).
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


def run_guarded(program: str, body: Callable[[], int]) -> int:
    """Run the body of a command; errors become one line on stderr. Returns the exit code.

    What argparse ends with SystemExit (--help, --version, bad usage) has an exit code like any other.
    """
    with standard_streams():
        try:
            with handled():
                code = _run_to_exit(body)
                check()
            flush_stdout()
            return code
        except BrokenPipeError:
            return FAILED  # whoever read stdout is gone, and has seen enough
        except (Error, OSError) as error:
            complain(program, error)
            return FAILED
        except KeyboardInterrupt as error:
            interrupted = error if isinstance(error, Interrupted) else Interrupted(signal.SIGINT)
            complain(program, interrupted)
            return interrupted.exit_code


def _run_to_exit(body: Callable[[], int]) -> int:
    try:
        return body()
    except SystemExit as exit_:
        return int(exit_.code or DONE)


def run_command(load: Callable[[], Command], program: str, argv: Sequence[str] | None = None) -> int:
    """Import a command with `load`, parse `argv` (default: the process's arguments) and run the command.

    Returns the exit code.
    """

    def body() -> int:
        with deferred():  # an import may swallow what is raised in it
            command = load()
        check()
        parser = make_parser(program, command.description, command.epilog)
        command.add_options(parser)
        arguments = parser.parse_args(argv)
        try:
            return command.run(arguments, program)
        except UsageError as error:
            parser.error(str(error))

    return run_guarded(program, body)


def complain(program: str, message: object) -> None:
    """Print a message of one line or more to stderr, after the program's name; see in_one_line()."""
    lines = map(in_one_line, str(message).split("\n"))
    print(f"{program}: " + "\n".join(lines), file=sys.stderr)


def require_whole_number(name: str, value: int | None, low: int, high: int) -> None:
    """Raise UsageError, in the words of train's options, unless the option is in range or not given."""
    if value is not None and not low <= value <= high:
        raise UsageError(f"{name} is {value}, expected a whole number from {low} to {high}")
