"""The command `data show`: some images of a dataset with their classes, in the terminal or in a PNG file."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data import DATASETS, Dataset
from ...errors import Error
from ...files import atomic_write, resolve
from ...training.config import ConfigError, check_output
from ...user_files import expand_path, reason_of
from ...wording import counted
from ..console import DONE, Command, UsageError, complain, require_whole_number
from ..drawing import draw_grid, most_columns, style_for
from ..loading import load_dataset
from ..log import telling
from ..options import add_data_options, add_shape_options
from ..streams import in_one_line, print_line
from .sheet import make_sheet

PARTS = {"train": "training", "test": "test"}
ROWS, FILE_ROWS, FILE_COLUMNS = 4, 10, 10
MOST = 100  # rows or columns
WHICH = "a name that `mpsmnist data list` has (default: what DIR holds, else mnist)"
MAX_SEED = 2**64 - 1


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", nargs="?", choices=DATASETS, default="auto", metavar="NAME", help=WHICH)
    add_data_options(parser)
    add_shape_options(parser)
    add("--part", choices=PARTS, default="train", help="default train")
    add("--class", dest="class_name", metavar="NAME", help="only images of this class, such as 7 or Sneaker")
    add("--seed", type=int, default=0, metavar="N", help="which images are drawn (default 0)")
    add("--rows", type=int, metavar="N", help=f"default {ROWS}, in a file {FILE_ROWS}")
    add("--columns", type=int, metavar="N", help=f"default as many as fit, in a file {FILE_COLUMNS}")
    add("--output", type=expand_path, metavar="FILE", help="write a PNG file, instead of the terminal")


def _run(arguments: argparse.Namespace, program: str) -> int:
    require_whole_number("rows", arguments.rows, 1, MOST)
    require_whole_number("columns", arguments.columns, 1, MOST)
    require_whole_number("seed", arguments.seed, 0, MAX_SEED)
    width = shutil.get_terminal_size().columns  # asked once: it may be another when the data are loaded
    columns = _columns_in_file(arguments) if arguments.output else _columns_in_terminal(arguments, width)
    with telling(program):
        dataset = load_dataset(
            program,
            arguments.name,
            data_dir=arguments.data_dir,
            offline=arguments.offline,
            num_classes=arguments.num_classes,
            resize=bool(arguments.resize),
        )
    if arguments.output is None:
        _show(arguments, dataset, columns, width)
    else:
        _save(arguments, dataset, columns, program)
    return DONE


def _columns_in_file(arguments: argparse.Namespace) -> int:
    """Return how many images are in a row, after a check that the file can be written."""
    path: Path = arguments.output
    if path.suffix.lower() != ".png":
        raise UsageError(f"output is {str(path)!r}, expected a name that ends in .png")
    try:
        check_output("output", path)
    except ConfigError as error:
        raise UsageError(str(error)) from error
    return arguments.columns or FILE_COLUMNS


def _columns_in_terminal(arguments: argparse.Namespace, width: int) -> int:
    most = most_columns(style_for(sys.stdout), width)
    if most == 0:
        raise UsageError(f"no image fits in the {width} characters of a line; --output FILE has room")
    columns: int = arguments.columns or most
    if columns > most:
        fit = f"{most} fit{'' if most > 1 else 's'} in the {width} characters of a line"
        raise UsageError(f"columns is {columns}, of which {fit}; --output FILE has room for more")
    return columns


def _show(arguments: argparse.Namespace, dataset: Dataset, columns: int, width: int) -> None:
    images, names, told = _choose(arguments, dataset, columns * (arguments.rows or ROWS))
    print_line(told)
    for line in draw_grid(images, names, style_for(sys.stdout), columns, width):
        print_line(line)


def _save(arguments: argparse.Namespace, dataset: Dataset, columns: int, program: str) -> None:
    images, names, told = _choose(arguments, dataset, columns * (arguments.rows or FILE_ROWS))
    try:
        with atomic_write(resolve(arguments.output)) as file:
            make_sheet(images, names, columns).save(file, "PNG")
    except OSError as error:
        raise Error(f"output {str(arguments.output)!r} cannot be written: {reason_of(error)}") from error
    complain(program, in_one_line(f"{told}, saved to {arguments.output}"))


def _choose(
    arguments: argparse.Namespace, dataset: Dataset, count: int
) -> tuple[NDArray[np.uint8], Sequence[str], str]:
    """Draw images at random, each once; returns them, the names of their classes, and what they are."""
    images = getattr(dataset, f"{arguments.part}_images")
    labels = getattr(dataset, f"{arguments.part}_labels")
    rows, of_class = np.arange(len(labels)), ""
    if arguments.class_name is not None:
        if arguments.class_name not in dataset.classes:
            named = ", ".join(map(in_one_line, dataset.classes))
            raise UsageError(f"class_name is {arguments.class_name!r}, expected one of {named}")
        rows = np.flatnonzero(labels == dataset.classes.index(arguments.class_name))
        of_class = f" of the class {in_one_line(arguments.class_name)}"
        if not len(rows):
            raise Error(f"{dataset.name}: no {PARTS[arguments.part]} image is{of_class}")
    chosen = np.random.default_rng(arguments.seed).permutation(rows)[:count]
    kind = counted(len(rows), f"{PARTS[arguments.part]} image")
    told = f"{dataset.name}: {len(chosen):,} of {kind}{of_class}"
    return images[chosen], [dataset.classes[label] for label in labels[chosen]], told


COMMAND = Command(
    description="Draw some of a dataset's images, chosen at random, each below the name of its class.",
    epilog=(
        "In a terminal with colours they are drawn in half blocks, elsewhere, and where NO_COLOR is set, in\n"
        "characters of more or less ink.\n"
        "exit codes: 0 done; 1 the dataset is unavailable or broken, or FILE cannot be written;\n"
        "2 bad usage; 130 interrupted"
    ),
    add_options=_add_options,
    run=_run,
)
