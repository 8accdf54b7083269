"""The command `data fetch`: datasets from their mirrors into the cache."""

import argparse

from ...data import FETCHABLE, fetch
from ...data.cache import CacheError
from ...data.cached import find_cached
from ...data.generated import SYNTHETIC
from ...data.sets import offline_by_environment
from ...errors import DatasetError
from ...wording import sized
from ..console import DONE, FAILED, Command, UsageError, complain
from ..loading import telling_warnings
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
    try:
        offline = offline_by_environment()
    except ValueError as error:
        raise UsageError(str(error)) from error
    failed = False
    with telling(program):
        for name in dict.fromkeys(arguments.names):
            try:
                with telling_warnings(program):
                    told = _fetch(name)
            except DatasetError as error:
                complain(program, error)
                told = None
            if told is None:
                failed = True
            else:
                print_line(in_one_line(told))
    if failed and offline:
        complain(program, "MPSMNIST_OFFLINE is 1, which forbids the network")
    return FAILED if failed else DONE


def _fetch(name: str) -> str | None:
    """Fetch a dataset, and say what was done; None if it is not in the cache then, as a warning says."""
    origin = fetch(name).source
    try:
        found = find_cached(name)
    except CacheError:
        return None
    if not found.whole:
        return None
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
