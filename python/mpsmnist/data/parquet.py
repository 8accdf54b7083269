"""Reads Parquet tables as the Hugging Face hub has them: pictures and labels."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from ..file_kinds import FileKind
from ..user_files import open_regular, reason_of
from ..wording import listed, printable
from .idx import MAX_UNPACKED
from .images import SIDE
from .kinds import require_kind
from .parts import Found, Part, role_of
from .picture import read_picture

_IMAGES = ("image", "img")
_LABELS = ("label", "labels")
_MAX_ROWS = MAX_UNPACKED // SIDE**2  # one picture, stored once, can be in any number of rows
_ROWS = 16  # that Arrow unpacks at once: one picture, stored once, can be in all of them


def read_parquet(folder: Path, *, resize: bool) -> Found | None:
    """Read the tables in a folder, or in the only one of its folders that has some.

    Tables whose names have neither "train" nor "test" are for training; there may be several of each.

    Returns:
        None if there are none.

    Raises:
        DatasetError: a table cannot be read, or has no pictures and labels.
        OSError: a folder cannot be listed.
    """
    paths = _tables_in(folder)
    if not paths:
        below = [
            found for path in sorted(folder.iterdir()) if os.path.isdir(path) and (found := _tables_in(path))
        ]
        if len(below) != 1:
            return None
        paths = below[0]
    tests = [path for path in paths if role_of(path) == "test"]
    trains = [path for path in paths if role_of(path) == "train"] or [
        path for path in paths if role_of(path) is None
    ]
    if not trains:
        raise DatasetError(f"{tests[0].parent}: has tables for tests, but none for training")
    train, classes = _read_tables(trains, resize=resize)
    test = _read_tables(tests, resize=resize)[0] if tests else None
    return Found(train, test, str(trains[0].parent), classes)


def _tables_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".parquet")


def _read_tables(paths: list[Path], *, resize: bool) -> tuple[Part, tuple[str, ...] | None]:
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    classes = None
    for path in paths:
        try:
            with open_regular(path) as file:
                require_kind(path, file, "a Parquet table", FileKind.PARQUET)
                table = _open(path, file)
                classes = _class_names(table.schema_arrow.metadata) or classes
                for image, label in _rows(path, table, resize=resize):
                    images.append(image)
                    labels.append(label)
                    if len(images) > _MAX_ROWS:
                        raise DatasetError(f"{path}: has more than {_MAX_ROWS:,} rows: split it")
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read: {reason_of(error)}") from error
    array = np.stack(images) if images else np.empty((0, SIDE, SIDE), np.uint8)
    name = str(paths[0])
    return Part(array, np.array(labels, np.int64), name, name), classes


def _open(path: Path, file: Any) -> Any:
    try:
        from pyarrow import parquet  # noqa: PLC0415 (an extra, and no small one)
    except ImportError as error:
        raise DatasetError(
            f"{path}: it is {FileKind.PARQUET.value}: `pip install 'mpsmnist[parquet]'` lets it be read"
        ) from error
    try:
        table = parquet.ParquetFile(file)
        groups = [table.metadata.row_group(index).total_byte_size for index in range(table.num_row_groups)]
    except Exception as error:  # what Arrow makes of bad files is no closed set
        raise _damaged(path, error) from error
    if max(groups, default=0) > MAX_UNPACKED:
        raise DatasetError(
            f"{path}: a row group of {max(groups):,} bytes, expected {MAX_UNPACKED:,} at most: split it"
        )
    return table


def _damaged(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{path}: no readable Parquet table: {printable(str(error))}")


def _rows(path: Path, table: Any, *, resize: bool) -> Iterator[tuple[NDArray[np.uint8], int]]:
    names = table.schema_arrow.names
    image = next((name for name in _IMAGES if name in names), None)
    label = next((name for name in _LABELS if name in names), None)
    if image is None or label is None:
        raise DatasetError(f"{path}: has the columns {listed(names)}, expected {_IMAGES[0]} and {_LABELS[0]}")
    try:
        batches = table.iter_batches(_ROWS, columns=[image, label])
        row = 0
        while (batch := next(batches, None)) is not None:
            for stored, value in zip(batch[image].to_pylist(), batch[label].to_pylist(), strict=True):
                name = f"{path}: row {row}"
                if not isinstance(value, int):
                    raise DatasetError(f"{name}: label {printable(repr(value))}, expected a whole number")
                yield _decode(path, name, stored, resize=resize), value
                row += 1
    except DatasetError:
        raise
    except Exception as error:
        raise _damaged(path, error) from error


def _decode(path: Path, name: str, stored: object, *, resize: bool) -> NDArray[np.uint8]:
    """Decode what an image's column holds: a file's bytes, or these or its path in a struct."""
    data, place = (stored.get("bytes"), stored.get("path")) if isinstance(stored, dict) else (stored, None)
    if isinstance(data, bytes):
        return read_picture(io.BytesIO(data), name, resize=resize)
    if not isinstance(place, str):
        raise DatasetError(f"{name}: has no picture, expected its bytes or its path")
    picture = Path(os.path.realpath(path.parent / place))
    if not picture.is_relative_to(os.path.realpath(path.parent)):
        raise DatasetError(f"{name}: its picture {printable(repr(place))} is not in the table's folder")
    with open_regular(picture) as file:
        return read_picture(file, str(picture), resize=resize)


def _class_names(metadata: dict[bytes, bytes] | None) -> tuple[str, ...] | None:
    """Find the classes' names where the hub's `datasets` writes them; None if they are not there."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = next(features[name]["names"] for name in _LABELS if name in features)
    except (KeyError, TypeError, ValueError, StopIteration, RecursionError):
        return None
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if good else None
