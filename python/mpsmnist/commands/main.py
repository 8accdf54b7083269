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


def main(argv: Sequence[str] | None = None, program: str = "mpsmnist") -> int:
    """Run the subcommand that the first argument names, with the other arguments; returns its exit code.

    For --help, --version and bad usage argparse raises SystemExit.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = make_parser(program, DESCRIPTION, _list_commands(program))
    parser.usage = "%(prog)s COMMAND ..."
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    name = parser.parse_args(argv[:1]).command
    if name is None:
        parser.print_help(sys.stderr)
        return BAD_USAGE
    return run_subcommand(name, f"{program} {name}", argv[1:])


def run_subcommand(name: str, program: str, argv: Sequence[str] | None = None) -> int:
    """Run one of COMMANDS with `argv` (default: the process's arguments) and return its exit code."""
    command: Command = import_module(f"{__package__}.{name}").COMMAND
    return run_command(command, program, argv)


def _list_commands(program: str) -> str:
    lines = [f"  {name:10}{summary}" for name, summary in COMMANDS.items()]
    return "\n".join(["commands:", *lines, "", f"{program} COMMAND --help tells the options of a command."])
