"""The command `mpsmnist`, whose subcommands are the other modules of this folder."""

import sys
from collections.abc import Sequence
from importlib import import_module

from .console import BAD_USAGE, Command, make_parser, run_command

# The subcommands, in the order of the help. Each is a module here, which is imported only when it runs.
COMMANDS = {
    "train": "train the network, and save and resume runs",
    "predict": "read the digits in pictures",
    "doctor": "check that every device here computes the right results",
}

DESCRIPTION = "Train the classic MNIST convolutional network, and use it."
EPILOG = "%(prog)s COMMAND --help lists the options of a command."


def main(argv: Sequence[str] | None = None, program: str = "mpsmnist") -> int:
    """Run the subcommand that the first argument names, with the other arguments; returns its exit code.

    For --help, --version and bad usage argparse raises SystemExit.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = make_parser(program, DESCRIPTION, EPILOG)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    chosen = parser.parse_args(argv[:1]).command
    if chosen is None:
        parser.print_help(sys.stderr)
        return BAD_USAGE
    return run_subcommand(chosen, f"{program} {chosen}", argv[1:])


def run_subcommand(name: str, program: str, argv: Sequence[str] | None = None) -> int:
    """Run one of COMMANDS with `argv` (default: the process's arguments) and return its exit code."""
    command: Command = import_module(f"{__package__}.{name}").COMMAND
    return run_command(command, program, argv)
