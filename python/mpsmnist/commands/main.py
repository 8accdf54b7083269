"""The command `mpsmnist`, whose subcommands are the other modules of this folder."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from .console import BAD_USAGE, Command, make_parser, run_command, run_guarded

# The subcommands, in the order of the help. Each is a module here, which is imported only when it runs.
COMMANDS = {
    "train": "train the network, and save and resume runs",
    "predict": "read the digits in pictures",
    "app": "open a page to watch training and draw digits on",
    "data": "list, fetch, verify and show datasets",
    "doctor": "check that every device here computes the right results",
}


@dataclass(frozen=True)
class _Group:
    """A command whose first argument names another: a module of `package`, or one of `groups`."""

    package: str
    description: str
    commands: Mapping[str, str]
    epilog: str = ""
    groups: Mapping[str, "_Group"] = field(default_factory=dict)


_DATA = _Group(
    package=f"{__package__}.data",
    description="The datasets that are known by name, those of your own, and the cache.",
    epilog="\nexit codes: 0 done; 1 something failed or is bad; 2 bad usage; 130 interrupted",
    commands={
        "list": "what datasets there are, and which of them are in the cache",
        "fetch": "download datasets into the cache",
        "verify": "check the files of the cache, or of a folder of your own",
        "show": "draw some of a dataset's images, here or in a PNG file",
    },
)
_MPSMNIST = _Group(
    package=__package__,
    description="Train the classic MNIST convolutional network, and use it.",
    commands=COMMANDS,
    groups={"data": _DATA},
)


def main(argv: Sequence[str] | None = None, program: str = "mpsmnist") -> int:
    """Run the subcommand that the first argument names, with the other arguments; returns its exit code."""
    return _run_group(_MPSMNIST, program, argv)


def run_subcommand(name: str, program: str, argv: Sequence[str] | None = None) -> int:
    """Run one of COMMANDS with `argv` (default: the process's arguments) and return its exit code."""
    return _run_member(_MPSMNIST, name, program, argv)


def _run_group(group: _Group, program: str, argv: Sequence[str] | None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in group.commands:
        return _run_member(group, argv[0], f"{program} {argv[0]}", argv[1:])
    return run_guarded(program, lambda: _run_alone(group, program, argv))


def _run_member(group: _Group, name: str, program: str, argv: Sequence[str] | None) -> int:
    if name in group.groups:
        return _run_group(group.groups[name], program, argv)

    def load() -> Command:
        command: Command = import_module(f"{group.package}.{name}").COMMAND
        return command

    return run_command(load, program, argv)


def _run_alone(group: _Group, program: str, argv: Sequence[str]) -> int:
    """Do what the command does without a subcommand: help, version, and saying what is wrong."""
    help_ = "%(prog)s COMMAND --help lists the options of a command."
    parser = make_parser(program, group.description, help_ + group.epilog)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, summary in group.commands.items():
        commands.add_parser(name, help=summary)
    _, unknown = parser.parse_known_args(argv[:1])
    if not argv:
        parser.print_help(sys.stderr)
        return BAD_USAGE
    named = [place for place, word in enumerate(argv) if word in group.commands]
    if named:
        # What follows an option may be its value: --data-dir data.
        command = argv[min(named, key=lambda place: argv[place - 1].startswith("-"))]
        parser.error(f"options come after the command: {program} {command} {argv[0]} ...")
    return parser.error(f"unrecognized arguments: {' '.join(unknown)}")
