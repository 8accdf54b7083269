"""What the command lines share: options, and values that are checked before anything runs."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from .environment import BENCHMARKS, usable_cpus

RAW = BENCHMARKS / "raw"  # git ignores it
PICTURE_SUFFIXES = (".png", ".pdf", ".svg")


def positive(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise ArgumentTypeError(f"is {value}, expected a whole number above 0")
    return value


def thread_count(text: str) -> int:
    """A number of threads that have a CPU each."""
    value = positive(text)
    if value > len(usable_cpus()):
        raise ArgumentTypeError(f"is {value}, but only {len(usable_cpus())} CPUs may be used here")
    return value


def output_path(text: str) -> Path:
    """A file to write at the end of what may be a long run, so its folder must be there at the start."""
    path = Path(text)
    if not path.parent.is_dir():
        raise ArgumentTypeError(f"is {text!r}, but there is no folder {str(path.parent)!r}")
    return path


def picture_path(text: str) -> Path:
    """The same for a picture, whose suffix names its format."""
    path = output_path(text)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ArgumentTypeError(f"is {text!r}, expected a name that ends in {', '.join(PICTURE_SUFFIXES)}")
    return path


def add_common(parser: ArgumentParser, *, dataset: str = "auto", plot: str | None = None) -> None:
    """The options of every command; `plot` says what its picture shows, where it draws one."""
    add = parser.add_argument
    add("--threads", type=thread_count, default=len(usable_cpus()), help="of everybody (default: all CPUs)")
    add("--dataset", default=dataset, help=f"auto, mnist, synthetic, ... (default: {dataset})")
    add("--data-dir", type=Path, help="a folder with the dataset's four files")
    add(
        "--output",
        "--json",
        type=output_path,
        metavar="PATH",
        help="write the summary: figures, versions, the machine",
    )
    add(
        "--raw-dir",
        type=Path,
        default=RAW,
        help="with --output, every time goes here (default: benchmarks/raw)",
    )
    if plot is not None:
        add("--plot", type=picture_path, metavar="PATH", help=f"a picture: {plot}")
