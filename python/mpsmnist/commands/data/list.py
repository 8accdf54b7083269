"""The command `data list`: the datasets that are known by name, and what the cache has of them."""

import argparse
import json
import os
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ...data import FETCHABLE
from ...data.cache import CacheError, cache_root
from ...data.cached import find_cached
from ...data.generated import SYNTHETIC
from ...data.sources import DIGITS, SOURCES
from ...data.synthetic import TEST_SIZE, TRAIN_SIZE
from ...user_files import expand_path
from ...wording import sized
from ..console import DONE, Command, complain
from ..streams import in_one_line, print_line

NARROWEST = 60  # characters of a line: in fewer, nothing is readable
CUSTOM_LINE = (
    "custom: data of your own, in the folder that --data-dir or MPSMNIST_DATA_DIR names; "
    "`mpsmnist data verify DIR` says what a folder holds"
)


@dataclass(frozen=True)
class _Entry:
    """A dataset. Of the numbers of images, None is one that differs between editions.

    `files` are those in the cache, with their sizes in bytes; the sets of EMNIST share one.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    train_images: int | None
    test_images: int | None
    licence: str | None
    homepage: str | None
    cached: bool
    folder: str | None
    files: dict[str, int]


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object per dataset and line")


def _run(arguments: argparse.Namespace, program: str) -> int:
    try:
        root = cache_root()
    except CacheError as error:
        root = None
        complain(program, error)
    entries = [_entry(name, in_cache=root is not None) for name in FETCHABLE]
    if arguments.json:
        for entry in entries:
            print_line(json.dumps(asdict(entry)))
    else:
        width = max(NARROWEST, shutil.get_terminal_size().columns)
        print_line("\n".join(_format(entries, root, width)))
    return DONE


def _entry(name: str, *, in_cache: bool) -> _Entry:
    found = find_cached(name) if in_cache else None
    return _Entry(
        name,
        *_describe(name),
        cached=found is not None and not found.missing,
        folder=None if found is None else str(found.folder),
        files={} if found is None else {str(path): size for path, size in found.sizes.items()},
    )


def _describe(name: str) -> tuple[str, tuple[str, ...], int | None, int | None, str | None, str | None]:
    """Return the fields of an _Entry that do not depend on the cache."""
    if name == SYNTHETIC:
        title = "digits drawn by the package, the same on every machine"
        return title, DIGITS, TRAIN_SIZE, TEST_SIZE, None, None
    source = SOURCES[name]
    train, _, test, _ = (file.shape[0] for file in source.files)
    return source.title, source.classes, train, test, source.licence, source.homepage


def _format(entries: list[_Entry], root: Path | None, width: int) -> Iterator[str]:
    """Write two lines or more for each dataset, then what holds for all."""
    yield f"{'dataset':16} {'classes':>7} {'training':>9} {'test':>8}   in the cache"
    for entry in entries:
        numbers = ["varies" if n is None else f"{n:,}" for n in (entry.train_images, entry.test_images)]
        row = f"{entry.name:16} {len(entry.classes):7} {numbers[0]:>9} {numbers[1]:>8}"
        yield f"{row}   {_in_cache(entry, root)}"
        licence = None if entry.licence is None else f"licence: {entry.licence}"
        details = "; ".join(filter(None, (entry.title, licence, entry.homepage)))
        yield _wrapped(details, width, "  ")
    yield ""
    yield _wrapped(CUSTOM_LINE, width)
    if root is not None:
        every = {path: size for entry in entries for path, size in entry.files.items()}
        total = sized(sum(every.values()))
        yield _wrapped(f"cache: {in_one_line(str(root))}, {total}; MPSMNIST_CACHE_DIR moves it", width)
    if folder := os.environ.get("MPSMNIST_DATA_DIR"):
        shown = in_one_line(str(expand_path(folder)))
        yield _wrapped(f"MPSMNIST_DATA_DIR is set: loading reads {shown}, and not the cache", width)


def _in_cache(entry: _Entry, root: Path | None) -> str:
    if not entry.files or entry.folder is None or root is None:
        return "no"
    place = f"{sized(sum(entry.files.values()))} in {Path(entry.folder).relative_to(root)}/"
    return place if entry.cached else f"in part: {place}"


def _wrapped(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


COMMAND = Command(
    description="List the datasets that are known by name, and say which of them are in the cache.",
    epilog="exit codes: 0 done; 1 the list cannot be printed; 2 bad usage; 130 interrupted",
    add_options=_add_options,
    run=_run,
)
