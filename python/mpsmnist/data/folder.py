"""Reads whatever a folder of the user's holds: files of a dataset, known by name or the user's own."""

import logging
import os
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from ..user_files import reason_of
from ..wording import listed
from .class_folders import read_class_folders
from .csv_files import read_csv
from .dataset import Dataset
from .idx_files import IdxFiles, find_idx, find_idx_below, missing_files, require_one, suited
from .images import light_on_dark, to_images
from .labels import check_names, name_classes, split, to_labels
from .npz import read_npz
from .parquet import read_parquet
from .parts import Found
from .recognition import recognise_content, recognise_files
from .sources import SOURCES, Source, number_names
from .stored import has_archive

CUSTOM = "custom"  # the name of a dataset that is not one of SOURCES
_MAX_SEARCHED = 1000  # entries of a folder in which nothing was found

_log = logging.getLogger(__name__)

_EXPECTED = (
    "IDX files (train-images-idx3-ubyte.gz and so on), an .npz archive, train.csv, Parquet tables, "
    "or a folder of pictures for each class"
)


def read_folder(
    name: str,
    folder: Path,
    *,
    given_by: str | None = None,
    num_classes: int | None = None,
    resize: bool = False,
) -> Dataset:
    """Read the dataset in `folder`: docs/data.md has a table of what is understood.

    Without test files, one image in six is taken for tests. What is decided on the way is logged.

    Args:
        name: what to look for: one of SOURCES, or "auto" or "custom" for whatever there is. "auto" tells by
            checksums whether it is one of SOURCES.
        folder: where.
        given_by: the environment variable that names the folder, if one does.
        num_classes: how many classes there are; None counts the labels, or the folders of pictures.
        resize: scale images to 28x28.

    Raises:
        DatasetError: there is nothing to read, or it is broken, or something else than `name`.
    """
    described = f"the data folder {str(folder)!r}" + (f" (from {given_by})" if given_by else "")
    if not os.path.isdir(folder):  # unlike Path.is_dir, never an error
        if not os.path.lexists(folder):
            raise DatasetError(f"{described} does not exist")
        hint = ": name the folder that it is in" if os.path.isfile(folder) else ""
        raise DatasetError(f"{described} is not a folder{hint}")
    try:
        return _read_as(name, folder, described, num_classes, resize=resize)
    except OSError as error:
        raise DatasetError(f"{described} cannot be listed: {reason_of(error)}") from error
    except MemoryError as error:
        raise DatasetError(f"{described} holds more than fits into memory") from error


def _read_as(name: str, folder: Path, described: str, num_classes: int | None, *, resize: bool) -> Dataset:
    """Read what there is as `name`. Raises OSError if a folder cannot be listed."""
    found, told = _read(folder, name if name in SOURCES else None, described, resize=resize)
    images = to_images(found.parts, resize=resize)
    told = told or recognise_content(images, found.parts)
    if name == "auto":
        name = told or CUSTOM
    elif name in SOURCES and told not in (None, name):
        raise DatasetError(f"{described} holds {told}, as its files' names or checksums say, not {name}")
    if name in SOURCES:
        return _as_known(SOURCES[name], found, images, num_classes)
    return _as_custom(found, light_on_dark(images), num_classes)


def _read(folder: Path, wanted: str | None, described: str, *, resize: bool) -> tuple[Found, str | None]:
    """Read what there is, and tell which of SOURCES it is, if its files' names or sums do.

    Raises:
        DatasetError: there is nothing, or a choice, or what there is is incomplete or broken.
        OSError: a folder cannot be listed.
    """
    if (files := _choose_idx(folder, wanted, described)) is not None:
        return _read_idx_files(files)
    if (found := read_npz(folder)) is not None:
        return found, None
    if (found := read_csv(folder)) is not None:
        return found, _named_by(Path(found.place))
    if below := suited(find_idx_below(folder), wanted):
        files = require_one(below, wanted, described)
        _log.info("reading the files in %s", files.folder)
        return _read_idx_files(files)
    for read in (read_parquet, read_class_folders):
        if (found := read(folder, resize=resize)) is not None:
            return found, None
    if archived := [source.name for source in SOURCES.values() if has_archive(source, folder)]:
        raise DatasetError(
            f"{described} has several datasets: {', '.join(archived)}: name one with --dataset"
        )
    raise DatasetError(f"{described} holds no dataset: expected {_EXPECTED}\n  {_describe(folder)}")


def _choose_idx(folder: Path, wanted: str | None, described: str) -> IdxFiles | None:
    """Choose the IDX files in a folder; None if there are none. Raises as _read() does."""
    found = suited(find_idx(folder), wanted)
    whole = [files for files in found if not files.missing(test_needed=wanted is not None)]
    if whole:
        return require_one(whole, wanted, described)
    if found:
        raise DatasetError(
            f"{described} does not contain {wanted or 'a whole dataset'}: {missing_files(found[0])}"
            f"\n  {_describe(folder)}"
        )
    return None


def _read_idx_files(files: IdxFiles) -> tuple[Found, str | None]:
    told = files.prefix if files.prefix in SOURCES else recognise_files(files.paths)
    return files.read(), told


def _named_by(table: Path) -> str | None:
    """Tell which of SOURCES a table is by a name such as emnist-letters-train.csv."""
    name = table.stem.lower().removesuffix("-train")
    return name if name in SOURCES else None


def _as_known(
    source: Source, found: Found, images: list[NDArray[np.uint8]], num_classes: int | None
) -> Dataset:
    if num_classes not in (None, source.num_classes):
        raise DatasetError(
            f"{found.place}: holds {source.name}, which has {source.num_classes} classes, but {num_classes} "
            'are asked for: the dataset "custom" takes any number'
        )
    if found.classes not in (None, source.classes, number_names(source.num_classes)):
        raise DatasetError(
            f"{found.place}: has the classes {listed(found.classes)}, expected those of {source.name}, "
            f'{listed(source.classes)}: the dataset "custom" takes any'
        )
    first = source.decoder.first_label
    labels = [to_labels(part, source.num_classes, first) for part in found.parts]
    return _assemble(
        source.name, found, [source.decoder.turn(each) for each in images], labels, source.classes
    )


def _as_custom(found: Found, images: list[NDArray[np.uint8]], num_classes: int | None) -> Dataset:
    if found.classes is None:
        labels = [to_labels(part, num_classes) for part in found.parts]
        return _assemble(CUSTOM, found, images, labels, name_classes(labels, num_classes))
    check_names(found.classes, found.place)
    if num_classes not in (None, len(found.classes)):
        raise DatasetError(
            f"{found.place}: has {len(found.classes)} classes, but {num_classes} are asked for"
        )
    labels = [to_labels(part, len(found.classes)) for part in found.parts]
    return _assemble(CUSTOM, found, images, labels, found.classes)


def _assemble(
    name: str,
    found: Found,
    images: list[NDArray[np.uint8]],
    labels: list[NDArray[np.uint8]],
    classes: tuple[str, ...],
) -> Dataset:
    """Make the dataset; test images are taken from the others if there are none."""
    if len(images) == 1:
        test = split(labels[0], found.train.images_name)
        images, labels = ([array[~test], array[test]] for array in (images[0], labels[0]))
    return Dataset(
        name=name,
        train_images=images[0],
        train_labels=labels[0],
        test_images=images[1],
        test_labels=labels[1],
        classes=classes,
        source=found.place,
    )


def _describe(folder: Path) -> str:
    """Say what a folder holds."""
    names = sorted(path.name + "/" * os.path.isdir(path) for path in islice(folder.iterdir(), _MAX_SEARCHED))
    return f"it holds {listed(names)}" if names else "it is empty"
