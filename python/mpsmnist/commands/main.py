"""The command `mpsmnist`, whose subcommands are the other modules of this folder."""

import sys
from collections.abc import Sequence
from importlib import import_module

from .console import BAD_USAGE, Command, make_parser, run_command, run_guarded

# The subcommands, in the order of the help. Each is a module here, which is imported only when it runs.
COMMANDS = {
    "train": "train the network, and save and resume runs",
    "predict": "read the digits in pictures",
    "app": "open a page to watch training and draw digits on",
    "doctor": "check that every device here computes the right results",
}

DESCRIPTION = "Train the classic MNIST convolutional network, and use it."
EPILOG = "%(prog)s COMMAND --help lists the options of a command."


def main(argv: Sequence[str] | None = None, program: str = "mpsmnist") -> int:
    """Run the subcommand that the first argument names, with the other arguments; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in COMMANDS:
        return run_subcommand(argv[0], f"{program} {argv[0]}", argv[1:])
    return run_guarded(program, lambda: _run_alone(argv, program))


def _run_alone(argv: Sequence[str], program: str) -> int:
    """Do what the command does without a subcommand: help, version, and saying what is wrong."""
    parser = make_parser(program, DESCRIPTION, EPILOG)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    _, unknown = parser.parse_known_args(argv[:1])
    if not argv:
        parser.print_help(sys.stderr)
        return BAD_USAGE
    command = next((word for word in argv if word in COMMANDS), None)
    if command is not None:
        parser.error(f"options come after the command: {program} {command} {argv[0]} ...")
    return parser.error(f"unrecognized arguments: {' '.join(unknown)}")


def run_subcommand(name: str, program: str, argv: Sequence[str] | None = None) -> int:
    """Run one of COMMANDS with `argv` (default: the process's arguments) and return its exit code."""

    def load() -> Command:
        command: Command = import_module(f"{__package__}.{name}").COMMAND
        return command

    return run_command(load, program, argv)
