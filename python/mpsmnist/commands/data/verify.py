"""The command `data verify`: the checksums of what the cache holds, or what a folder of the user's holds."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...data import FETCHABLE, Dataset
from ...data.cache import CacheError, cache_root
from ...data.cached import find_cached
from ...data.inspection import Inspected, datasets_in, inspect_files
from ...data.verification import Verdict, strangers, verify_cached
from ...errors import DatasetError, Error
from ...user_files import expand_path
from ...wording import counted
from ..console import DONE, FAILED, Command, UsageError, complain
from ..loading import load_dataset
from ..log import telling
from ..options import add_shape_options
from ..streams import in_one_line, print_line


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", nargs="?", type=expand_path, metavar="DIR", help="of your own data (default: the cache)")
    add_shape_options(parser)


def _run(arguments: argparse.Namespace, program: str) -> int:
    if arguments.folder is not None:
        return _verify_folder(arguments, program)
    if arguments.num_classes is not None or arguments.resize:
        raise UsageError("name a folder: `num_classes` and `resize` are for data of your own")
    try:
        return _verify_cache(program)
    except CacheError as error:
        raise Error(str(error)) from error


def _verify_cache(program: str) -> int:
    root = cache_root()
    verdicts = list(_told())
    for path, guess in strangers():
        print_line(in_one_line(f"{path}: {guess}: not checked"))
    incomplete = _incomplete()
    for name, missing in incomplete.items():
        print_line(in_one_line(f"{name}: incomplete, without {', '.join(missing)}"))
    bad = [each for each in verdicts if each.flaw is not None]
    print_line(in_one_line(_conclusion(root, verdicts, bad)))
    if to_fetch := list(dict.fromkeys([*(each.dataset for each in bad), *incomplete])):
        print_line(f"to mend it: {program.removesuffix(' verify')} fetch {' '.join(to_fetch)}")
    return FAILED if bad else DONE


def _told() -> Iterator[Verdict]:
    """Check the files, and print a line about each; which one is read is told on a terminal."""
    with tqdm(bar_format="{desc}", leave=False, dynamic_ncols=True, disable=None) as line:
        for each in verify_cached(lambda path: line.set_description_str(f"reading {in_one_line(str(path))}")):
            line.clear()
            told = f"right ({each.compared}){each.remark}" if each.flaw is None else f"BAD: {each.flaw}"
            print_line(in_one_line(f"{each.path}: {told}"))
            yield each


def _incomplete() -> dict[str, list[str]]:
    """Return the names of the downloads that the cache lacks of datasets of which it has others."""
    found = [find_cached(name) for name in FETCHABLE]
    return {each.name: [path.name for path in each.missing] for each in found if each.sizes and each.missing}


def _conclusion(root: Path, verdicts: list[Verdict], bad: list[Verdict]) -> str:
    if not verdicts:
        return f"the cache, {root}, has no datasets"
    result = f"{len(bad)} of them {'is' if len(bad) == 1 else 'are'} bad" if bad else "all are right"
    return f"checked {counted(len(verdicts), 'file')} in the cache, {root}: {result}"


def _verify_folder(arguments: argparse.Namespace, program: str) -> int:
    inspected, names = _inspect(arguments.folder)
    for each in inspected:
        print_line(in_one_line(f"{each.path}: {_say(each)}"))
    told = {f"{each.path}: {each.flaw}" for each in inspected if each.flaw is not None}
    code = FAILED if told else DONE
    with telling(program):
        for name in names:
            try:
                dataset = load_dataset(
                    program,
                    name,
                    data_dir=arguments.folder,
                    num_classes=arguments.num_classes,
                    resize=bool(arguments.resize),
                )
            except DatasetError as error:
                code = FAILED
                if str(error) not in told:
                    complain(program, error)
            else:
                print_line("\n".join(_describe(dataset)))
    return code


def _inspect(folder: Path) -> tuple[list[Inspected], list[str]]:
    """Inspect the files, and name the datasets to load."""
    try:
        return list(inspect_files(folder)), datasets_in(folder)
    except OSError:  # which loading has better words for
        return [], ["auto"]


def _say(inspected: Inspected) -> str:
    if inspected.flaw is not None:
        return f"BAD: {inspected.flaw}"
    if inspected.known_as is None:
        return "can be read; its checksum is of no known file"
    return f"right: by its checksum it is {inspected.known_as}"


def _describe(dataset: Dataset) -> Iterator[str]:
    """Say what a dataset holds."""
    train, test = (
        np.bincount(labels, minlength=dataset.num_classes)
        for labels in (dataset.train_labels, dataset.test_labels)
    )
    images = f"{counted(train.sum(), 'training image')} and {counted(test.sum(), 'test image')}"
    classes = f"{dataset.num_classes} class{'es' * (dataset.num_classes != 1)}"
    yield in_one_line(f"{dataset.name}: {images} of {classes}, in {dataset.source}")
    names = [in_one_line(name) for name in dataset.classes]
    width = max(map(len, names))
    for name, ours, theirs in zip(names, train, test, strict=True):
        yield f"  {name:>{width}} {ours:9,} + {theirs:,}"


COMMAND = Command(
    description=(
        "Compute the checksums of all that the cache holds, or read a folder of your own as --data-dir\n"
        "does, and say what is in it. Nothing is changed."
    ),
    epilog="exit codes: 0 all is right; 1 a file is bad, or cannot be read; 2 bad usage; 130 interrupted",
    add_options=_add_options,
    run=_run,
)
