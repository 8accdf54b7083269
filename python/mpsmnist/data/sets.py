"""Loads a dataset by name: from a folder, the cache or a mirror, or drawn by the package."""

import os
import warnings
from pathlib import Path

from ..errors import DatasetError
from ..user_files import expand_path
from . import downloaded
from .dataset import Dataset, UnavailableError, read_downloads
from .folder import CUSTOM, read_folder
from .generated import SYNTHETIC, load_synthetic
from .labels import MAX_CLASSES
from .sources import DIGITS, SOURCES, Source
from .stored import has_archive

_FOLDER = "MPSMNIST_DATA_DIR"

FETCHABLE: tuple[str, ...] = (*SOURCES, SYNTHETIC)
DATASETS: tuple[str, ...] = ("auto", *SOURCES, CUSTOM, SYNTHETIC)


class SyntheticDataWarning(UserWarning):
    """The digits are drawn by the package because real MNIST is unavailable."""


def load(
    name: str = "auto",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    offline: bool | None = None,
    num_classes: int | None = None,
    resize: bool = False,
) -> Dataset:
    """Load a dataset by name.

    Looks in `data_dir`, or else in the folder that the environment variable MPSMNIST_DATA_DIR names; if
    either is given, nothing else is tried. Otherwise looks in the cache (MPSMNIST_CACHE_DIR, or the
    platform's usual place), then on the dataset's mirrors. In these paths, ~ and $VARIABLES are replaced.

    What takes long is told through the logger "mpsmnist.data" at level INFO; where that is enabled, downloads
    show a progress bar on a terminal.

    Args:
        name: one of `DATASETS`. "auto" is what the folder holds or, without one, MNIST or, if neither the
            cache nor a mirror has it, the synthetic digits with a SyntheticDataWarning. "custom" is data of
            your own, in a folder.
        data_dir: a folder that holds a dataset in one of the forms that docs/data.md lists.
        offline: never use the network; None leaves it to the environment variable MPSMNIST_OFFLINE (1 or 0).
        num_classes: how many classes the data in the folder have, 1 to 256; None counts the labels. Without
            a folder, None or the number that the dataset has.
        resize: scale images in the folder that are not 28x28, instead of raising DatasetError.

    Raises:
        DatasetError: the dataset is unavailable, or a file is broken; lists what was tried.
        ValueError: an argument or environment variable has a value that it cannot have.
    """
    if name not in DATASETS:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(DATASETS)}")
    offline = offline_by_environment() if offline is None else offline
    if num_classes is not None and not 1 <= num_classes <= MAX_CLASSES:
        raise ValueError(f"num_classes is {num_classes}, expected 1 to {MAX_CLASSES}")
    if name == SYNTHETIC:
        if data_dir is not None:
            raise ValueError(f"data_dir is {os.fspath(data_dir)!r}, but synthetic digits need no data folder")
        _check_number(name, len(DIGITS), num_classes)
        return load_synthetic()

    if data_dir is not None:
        return _from_folder(name, expand_path(data_dir), None, num_classes, resize=resize)
    if folder := os.environ.get(_FOLDER):
        return _from_folder(name, expand_path(folder), _FOLDER, num_classes, resize=resize)
    if name == CUSTOM:
        raise DatasetError(
            f"{CUSTOM} is data of your own: name its folder with --data-dir (data_dir in Python) or {_FOLDER}"
        )
    source = SOURCES["mnist" if name == "auto" else name]
    _check_number(source.name, source.num_classes, num_classes)
    try:
        return downloaded.load_cached(source, offline=offline)
    except UnavailableError as error:
        if name != "auto":
            raise
        reason = error.brief
    warnings.warn(_synthetic_warning(source, reason), SyntheticDataWarning, stacklevel=2)
    return load_synthetic()


def fetch(name: str) -> Dataset:
    """Have a dataset in the cache, and load it from there: load() may then be called without the network.

    What is missing there, or has another checksum than on the mirrors, is downloaded; folders of the user's
    are not looked into. What takes long is told as load() tells it.

    Args:
        name: one of `FETCHABLE`: any of `DATASETS` but "auto" and "custom". "synthetic" is drawn.

    Returns:
        The dataset; its `source` tells whether anything was downloaded.

    Raises:
        DatasetError: a download failed, and lists what was tried; MPSMNIST_OFFLINE forbids one; or the
            synthetic digits cannot be kept.
        ValueError: there is no such dataset, or MPSMNIST_OFFLINE is neither 1 nor 0.
    """
    if name not in FETCHABLE:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(FETCHABLE)}")
    offline = offline_by_environment()
    if name == SYNTHETIC:
        return load_synthetic(must_keep=True)
    return downloaded.fetch(SOURCES[name], offline=offline)


def _check_number(name: str, has: int, num_classes: int | None) -> None:
    """Raise ValueError if another number of classes is asked for than a dataset has."""
    if num_classes not in (None, has):
        raise ValueError(f"num_classes is {num_classes}, but {name} has {has} classes")


def _from_folder(
    name: str, folder: Path, given_by: str | None, num_classes: int | None, *, resize: bool
) -> Dataset:
    source = SOURCES.get(name)
    if source is not None and has_archive(source, folder):
        return read_downloads(source, folder, str(folder))
    return read_folder(name, folder, given_by=given_by, num_classes=num_classes, resize=resize)


def offline_by_environment() -> bool:
    """Tell whether MPSMNIST_OFFLINE forbids the network. ValueError: it is neither 1 nor 0."""
    value = os.environ.get("MPSMNIST_OFFLINE", "")
    if value not in ("", "0", "1"):
        raise ValueError(f"the environment variable MPSMNIST_OFFLINE is {value!r}, expected 1 or 0")
    return value == "1"


def _synthetic_warning(source: Source, reason: str) -> str:
    """Write four lines, to which the command adds two."""
    return (
        "This is NOT real MNIST: continuing with synthetic digits, drawn by the package itself.\n"
        f'Why: {reason}; the dataset "{source.name}" tells more.\n'
        "To get real MNIST, connect to the network once, or name a folder that has its four files\n"
        f"({source.files[0].name}, ...): --data-dir (data_dir in Python) or MPSMNIST_DATA_DIR."
    )
