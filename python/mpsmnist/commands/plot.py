"""The option --plot: a picture of the run in a file. Needs matplotlib."""

import io
import warnings
from importlib import import_module
from pathlib import Path

from ..data import Dataset
from ..errors import Error
from ..files import atomic_write, is_same_file, resolve
from ..training.config import ConfigError, TrainConfig, check_output
from ..training.events import TrainResult
from ..user_files import reason_of

FORMATS = {".png": "png", ".pdf": "pdf", ".svg": "svg", ".jpg": "jpeg", ".jpeg": "jpeg"}


def check_plot(path: Path, config: TrainConfig) -> None:
    """Find out before training what would fail after it.

    Raises:
        ConfigError: the file cannot be written, the suffix names no format, or it is a checkpoint of the run.
        Error: matplotlib cannot be imported; the message says how to install it.
    """
    check_output("plot", path)
    suffix = path.suffix or path.name  # of ".png" Path takes the whole for the name
    if suffix.lower() not in FORMATS:
        raise ConfigError(
            f"plot is {str(path)!r}, expected a name that ends in .png, .pdf, .svg or .jpg (or .jpeg)"
        )
    if not path.suffix:
        raise ConfigError(
            f"plot is {str(path)!r}, which is only a suffix, expected a name such as run{suffix}"
        )
    for option in ("checkpoint", "resume", "init_from"):
        other = getattr(config, option)
        if other is not None and is_same_file(path, other):
            raise ConfigError(f"plot is {str(path)!r}, which is the file of `{option}`, expected another one")
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
    from ..training.figure import DPI, figure  # noqa: PLC0415 (matplotlib is optional)

    kind = FORMATS[path.suffix.lower()]
    picture = io.BytesIO()  # drawing takes long, and no signal then leaves a temporary file behind
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # drawn as a box
        figure(result, dataset).savefig(picture, format=kind, dpi=DPI)
    try:
        with atomic_write(resolve(path)) as file:
            file.write(picture.getbuffer())
    except OSError as error:
        raise Error(f"plot {str(path)!r} cannot be written: {reason_of(error)}") from error
