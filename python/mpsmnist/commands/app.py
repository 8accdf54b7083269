"""The command `app`: the page to watch training and draw digits on, until Ctrl-C."""

import argparse
import signal
import webbrowser

from ..errors import Error
from ..training.config import ConfigError
from ..user_files import expand_path
from .console import Command, UsageError, complain
from .options import add_data_options, add_threads
from .streams import print_line

PORT = 8517
OPTIONS = ("host", "port", "checkpoint", "save", "overwrite", "data_dir", "offline", "threads")  # of Page
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--checkpoint",
        type=expand_path,
        metavar="PATH",
        help="a network to read drawings with at first",
    )
    add(
        "--save",
        type=expand_path,
        metavar="PATH",
        help="save each run here when it ends, also by Ctrl-C",
    )
    add("--overwrite", action="store_true", help="let --save replace a file that exists")
    add_data_options(parser)
    add_threads(parser)
    add(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="where to listen (default 127.0.0.1, for this machine alone)",
    )
    add("--port", type=int, default=PORT, metavar="N", help=f"default {PORT}; 0 takes one that is free")
    add("--no-browser", action="store_true", help="print the address, and open nothing")


def _run(arguments: argparse.Namespace, program: str) -> int:
    try:
        from ..page import Page  # noqa: PLC0415 (its server is optional)
    except ImportError as error:
        raise Error(f"the page needs a server ({error}): pip install 'mpsmnist[app]'") from error
    try:
        page = Page(**{name: getattr(arguments, name) for name in OPTIONS})
    except ConfigError as error:
        raise UsageError(str(error)) from error
    try:
        print_line(page.address)
        complain(program, f"that is the page, {_who_may_open_it(arguments.host)} Ctrl-C ends it.")
        if not arguments.no_browser and not webbrowser.open(page.address):
            complain(program, "no browser was found: open the address in one")
        while True:
            signal.pause()
    finally:
        page.close()


def _who_may_open_it(host: str) -> str:
    if host in LOOPBACK:
        return "for you alone: its address has a token."
    return "for all on the network who have its address, with this machine's IP address in it, unencrypted."


COMMAND = Command(
    description="Open a page in the browser: watch the network learn, and draw digits for it to read.",
    epilog=(
        "It needs the extra: pip install 'mpsmnist[app]'\n"
        "exit codes: 1 the page cannot be served, or a run not be saved; 2 bad usage;\n"
        "130 after Ctrl-C, 143 and 129 after SIGTERM and SIGHUP"
    ),
    add_options=_add_options,
    run=_run,
)
