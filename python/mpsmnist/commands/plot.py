"""The option --plot: a picture of the run in a file. Needs matplotlib."""

import os
import warnings
from importlib import import_module
from pathlib import Path

from ..data import Dataset
from ..errors import Error
from ..files import atomic_write
from ..training.config import ConfigError
from ..training.events import TrainResult

FORMATS = {".png": "png", ".pdf": "pdf", ".svg": "svg", ".jpg": "jpeg", ".jpeg": "jpeg"}


def check_plot(path: Path) -> None:
    """Find out before training what would fail after it.

    Raises:
        ConfigError: the suffix names no format.
        Error: matplotlib cannot be imported; the message says how to install it.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(
            f"plot is {str(path)!r}, expected a name that ends in .png, .pdf, .svg or .jpg (or .jpeg)"
        )
    try:
        import_module("mpsmnist.training.figure")
    except ImportError as error:
        raise Error(str(error)) from error


def save_plot(path: Path, result: TrainResult, dataset: Dataset) -> None:
    """Draw the run in the format that the suffix names.

    Raises:
        ImportError: matplotlib cannot be imported.
        Error: the file cannot be written.
    """
    import matplotlib as mpl  # noqa: PLC0415 (optional)

    from ..training.figure import DPI, figure  # noqa: PLC0415 (the same)

    kind = FORMATS[path.suffix.lower()]
    target = Path(os.path.realpath(path))  # the file behind a symbolic link, not the link, is replaced
    try:
        with warnings.catch_warnings(), mpl.rc_context({"text.usetex": False}), atomic_write(target) as file:
            warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # drawn as a box
            figure(result, dataset).savefig(file, format=kind, dpi=DPI)
    except OSError as error:
        raise Error(f"plot {str(path)!r} cannot be written: {error.strerror or error}") from error
