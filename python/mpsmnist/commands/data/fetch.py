"""The command `data fetch`: datasets from their mirrors into the cache."""

import argparse

from ...data import FETCHABLE, fetch
from ...data.cached import find_cached
from ...data.generated import SYNTHETIC
from ...errors import DatasetError
from ...wording import sized
from ..console import DONE, FAILED, Command, UsageError, complain
from ..log import telling
from ..streams import in_one_line, print_line


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        nargs="+",
        choices=FETCHABLE,
        metavar="NAME",
        help="a name that `mpsmnist data list` has",
    )


def _run(arguments: argparse.Namespace, program: str) -> int:
    code = DONE
    with telling(program):
        for name in dict.fromkeys(arguments.names):
            try:
                told = _fetch(name)
            except DatasetError as error:
                complain(program, error)
                code = FAILED
            else:
                print_line(in_one_line(told))
    return code


def _fetch(name: str) -> str:
    """Fetch a dataset, and say what was done."""
    try:
        origin = fetch(name).source
    except ValueError as error:  # of MPSMNIST_OFFLINE
        raise UsageError(str(error)) from error
    found = find_cached(name)
    done = f"fetched from {origin}"
    if origin in (str(found.folder), str(found.unpacked)):
        done = "already in the cache"
    elif name == SYNTHETIC:
        done = "drawn"
    return f"{name}: {done}, {sized(sum(found.sizes.values()))} in {found.folder}"


COMMAND = Command(
    description=(
        "Download datasets into the cache, unless they are there with the right checksums, and unpack them\n"
        "so that they load quickly. MPSMNIST_CACHE_DIR moves the cache. Synthetic digits are drawn."
    ),
    epilog="exit codes: 0 all are there; 1 a dataset cannot be had; 2 bad usage; 130 interrupted",
    add_options=_add_options,
    run=_run,
)
