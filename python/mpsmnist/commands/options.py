"""Options that several commands have."""

from argparse import ArgumentParser, _ArgumentGroup
from pathlib import Path

Options = ArgumentParser | _ArgumentGroup


def add_data_options(options: Options) -> None:
    """Add where data comes from."""
    options.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="the folder that holds the dataset: IDX files, or your own data",
    )
    options.add_argument("--offline", action="store_const", const=True, help="never use the network")


def add_shape_options(options: Options) -> None:
    """Add how the user's own data are read."""
    options.add_argument(
        "--num-classes", type=int, metavar="N", help="of the data in DIR (default: as many as there are)"
    )
    options.add_argument(
        "--resize",
        action="store_const",
        const=True,
        help="scale images in DIR that are not 28x28, instead of failing",
    )


def add_threads(options: Options) -> None:
    """Add the number of threads."""
    options.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads (default: the cores that this process may use)",
    )
