"""The command `app`: the page to watch training and draw digits on, until Ctrl-C."""

import argparse
import signal
import webbrowser

from ..errors import Error
from ..training.checkpoint import check_target, load
from ..training.config import MAX_THREADS, ConfigError, TrainConfig
from ..user_files import expand_path
from .console import Command, UsageError, complain, require_whole_number
from .options import add_data_options, add_threads
from .streams import print_line

PORT = 8517


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
    require_whole_number("port", arguments.port, 0, 65535)
    require_whole_number("threads", arguments.threads, 1, MAX_THREADS)
    opened = None if arguments.checkpoint is None else load(arguments.checkpoint)
    options = {name: getattr(arguments, name) for name in ("data_dir", "offline", "threads")}
    try:
        if arguments.save is not None:
            check_target(TrainConfig(checkpoint=arguments.save, overwrite=arguments.overwrite))
            options |= {"checkpoint": arguments.save, "overwrite": True}
        elif arguments.overwrite:
            raise UsageError("--overwrite needs --save")
    except ConfigError as error:
        raise UsageError(str(error)) from error
    page = Page(host=arguments.host, port=arguments.port, opened=opened, **options)
    try:
        print_line(page.address)
        complain(program, "that is the page, for you alone: its address has a token. Ctrl-C ends it.")
        if not arguments.no_browser:
            webbrowser.open(page.address)
        while True:
            signal.pause()
    finally:
        page.close()


COMMAND = Command(
    description="Open a page in the browser: watch the network learn, and draw digits for it to read.",
    epilog=(
        "It needs the extra: pip install 'mpsmnist[app]'\n"
        "exit codes: 1 the page cannot be served; 2 bad usage;\n"
        "130 after Ctrl-C, 143 and 129 after SIGTERM and SIGHUP"
    ),
    add_options=_add_options,
    run=_run,
)
