"""Reads pictures that are sorted into a folder for each class, whose names are the classes' names."""

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from ..user_files import open_regular, reason_of
from ..wording import listed
from .images import SIDE
from .labels import MAX_CLASSES
from .parts import Found, Part
from .picture import read_picture

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
_PARTS = {"train": ("train", "training"), "test": ("test", "testing")}
_IGNORED = ("val", "valid", "validation", "__macosx")

_log = logging.getLogger(__name__)


def read_class_folders(folder: Path, *, resize: bool) -> Found | None:
    """Read the pictures in the folders of a folder, or of its folders train and test.

    The classes are sorted by name, those that are whole numbers by what they are.

    Returns:
        None if there are no such pictures, here or in the only folder that there is.

    Raises:
        DatasetError: a picture cannot be read or has another size than 28x28, unless `resize`.
        OSError: a folder cannot be listed.
    """
    folders = {path.name.lower(): path for path in _folders_in(folder)}
    train, test = (
        next((folders[name] for name in names if name in folders), None) for names in _PARTS.values()
    )
    if train is None:
        train = folder
        test = None
    train_files = _files(train)
    if not train_files:
        return read_class_folders(next(iter(folders.values())), resize=resize) if len(folders) == 1 else None
    classes = tuple(sorted(train_files, key=_class_order))
    if len(classes) > MAX_CLASSES:
        raise DatasetError(f"{train}: has {len(classes)} folders of pictures, expected at most {MAX_CLASSES}")
    test_files = {} if test is None else _files(test)
    if unknown := sorted(test_files.keys() - train_files.keys()):
        raise DatasetError(
            f"{test}: has the class {unknown[0]!r}, expected those of {train}: {listed(classes)}"
        )
    return Found(
        _read_all(train, classes, train_files, resize),
        _read_all(test, classes, test_files, resize) if test is not None and test_files else None,
        str(folder),
        classes,
    )


def _folders_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _IGNORED and os.path.isdir(path)
    )


def _files(folder: Path) -> dict[str, list[Path]]:
    """Find the pictures of each class; folders without any are none."""
    found = {}
    for path in _folders_in(folder):
        pictures = [each for each in path.iterdir() if _is_picture(each)]
        if pictures:
            found[path.name] = sorted(pictures)
    return found


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def _class_order(name: str) -> tuple[bool, int, str]:
    number = int(name) if re.fullmatch(r"[0-9]{1,9}", name) else None
    return number is None, number or 0, name


def _read_all(folder: Path, classes: Sequence[str], files: dict[str, list[Path]], resize: bool) -> Part:
    paths = [(path, label) for label, name in enumerate(classes) for path in files.get(name, [])]
    _log.info("reading %d pictures in %s", len(paths), folder)
    images = np.empty((len(paths), SIDE, SIDE), np.uint8)
    for image, (path, _) in zip(images, paths, strict=True):
        image[:] = _read(path, resize=resize)
    labels = np.array([label for _, label in paths])
    return Part(images, labels, str(folder), str(folder))


def _read(path: Path, *, resize: bool) -> NDArray[np.uint8]:
    try:
        with open_regular(path) as file:
            return read_picture(file, str(path), resize=resize)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {reason_of(error)}") from error
