"""Reads tables as Kaggle has them: a label and 784 levels a line, with a header or without one."""

import itertools
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from ..user_files import open_regular, reason_of
from ..wording import counted, listed
from .kinds import require_kind
from .parts import Found, Part, role_of

_MAX_LINE = 1 << 20  # bytes: a line of 784 levels with eight digits each has 8 KB
_AT_ONCE = 1 << 19  # characters that are parsed at once: some 300 lines of 784 levels
_LABELS = ("label", "class", "target", "y")
_INDICES = ("", "id", "index", "unnamed: 0")  # columns that programs add, which number the lines

_log = logging.getLogger(__name__)


def read_csv(folder: Path) -> Found | None:
    """Read train.csv and test.csv, or mnist_train.csv and so on, or the only table in a folder.

    Returns:
        None if there are none. A table for tests without labels, as in Kaggle's competition, is not used.

    Raises:
        DatasetError: it is not clear which to read, or one is malformed.
        OSError: the folder cannot be listed.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    if not paths:
        return None
    train, test = _choose(folder, paths)
    train_part = _read_table(train)
    if train_part is None:
        raise DatasetError(f"{train}: has no labels, expected a column {_LABELS[0]!r} or labels first")
    test_part = None if test is None else _read_table(test)
    if test is not None and test_part is None:
        _log.warning("%s has no labels, as in Kaggle's competition: it is not used", test)
    return Found(train_part, test_part, str(train))


def _choose(folder: Path, paths: list[Path]) -> tuple[Path, Path | None]:
    roles = {role: [path for path in paths if role_of(path) == role] for role in ("train", "test")}
    if len(paths) == 1 and not roles["test"]:
        return paths[0], None
    if len(roles["train"]) != 1 or len(roles["test"]) > 1:
        names = listed(path.name for path in paths)
        raise DatasetError(f"{folder}: expected train.csv and perhaps test.csv, has {names}")
    return roles["train"][0], roles["test"][0] if roles["test"] else None


def _read_table(path: Path) -> Part | None:
    """Read images and labels; None if there are no labels."""
    try:
        with open_regular(path) as file:
            require_kind(path, file, "a table (.csv)")
            _log.info("reading %s", path)
            return _parse(path, file)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {reason_of(error)}") from error


def _parse(path: Path, file: IO[bytes]) -> Part | None:
    lines = _lines(path, file)
    first = next(lines, "")
    fields = [field.strip().strip('"').lower() for field in first.split(",")]
    has_header = not all(map(_is_number, fields))
    columns = _columns(path, fields, has_header=has_header)
    if columns is None:
        return None
    label, pixels = columns
    rest = lines if has_header else itertools.chain([first], lines)
    numbers = _numbers(path, rest, len(fields), done=int(has_header))
    blocks = [(_compact(block[:, pixels]), block[:, label].copy()) for block in numbers]
    if not blocks:
        raise DatasetError(f"{path}: has a header, but no lines of numbers")
    images, labels = (np.concatenate(each) for each in zip(*blocks, strict=True))
    return Part(images, labels, str(path), str(path))


def _columns(path: Path, fields: list[str], *, has_header: bool) -> tuple[int, NDArray[np.intp]] | None:
    """Return the label's column and those of the levels in their order; None if there is no label."""
    if has_header:
        label = next((fields.index(name) for name in _LABELS if name in fields), None)
        pixels = [index for index, name in enumerate(fields) if index != label and name not in _INDICES]
        pixels = _in_order(fields, pixels)
    else:
        is_square = math.isqrt(len(fields)) ** 2 == len(fields)
        label = None if is_square and len(fields) > 1 else 0
        pixels = list(range(len(fields)))[0 if label is None else 1 :]
    if len(pixels) < 4 or math.isqrt(len(pixels)) ** 2 != len(pixels):
        found = f"has {counted(len(pixels), 'level')}"
        if has_header and label is None:
            found = f"is a header without {_LABELS[0]!r}"
        raise DatasetError(
            f"{path}: its first line {found}, expected a label, which is a number, and 784 levels, "
            "with commas between them"
        )
    return None if label is None else (label, np.array(pixels))


def _in_order(fields: list[str], pixels: list[int]) -> list[int]:
    """Sort columns such as pixel0 or 1x28 by their numbers: some programs sort them by their letters."""
    numbers = {index: tuple(map(int, re.findall(r"\d{1,9}", fields[index]))) for index in pixels}
    if len(set(numbers.values())) < len(pixels) or len({len(each) for each in numbers.values()}) != 1:
        return pixels
    return sorted(pixels, key=numbers.__getitem__)


def _lines(path: Path, file: IO[bytes]) -> Iterator[str]:
    """Yield lines that are not blank. A file in one endless line is not read into memory."""
    number = 0
    while line := file.readline(_MAX_LINE):
        number += 1
        if len(line) == _MAX_LINE:
            raise DatasetError(
                f"{path}: line {number} has more than {_MAX_LINE:,} bytes, expected 785 numbers"
            )
        if text := line.decode("utf-8-sig", "replace").strip():
            yield text


def _numbers(path: Path, lines: Iterator[str], count: int, done: int) -> Iterator[NDArray[np.float32]]:
    """Yield the numbers of some lines at a time, (lines, count); `done` lines come before them."""
    while some := _some(lines):
        block = np.empty((len(some), count), np.float32)
        for row, line in enumerate(some):
            fields = line.split(",")
            is_row = len(fields) == count and "_" not in line  # Python takes 1_0 for 10
            try:
                with np.errstate(over="ignore"):  # it is refused as infinite
                    block[row] = list(map(float, fields)) if is_row else ()
            except ValueError:
                found = f"{len(fields)} fields" if len(fields) != count else "a field that is no number"
                raise DatasetError(
                    f"{path}: line {done + row + 1} (blank ones not counted) has {found}, "
                    f"expected {count} numbers"
                ) from None
        yield block
        done += len(some)


def _some(lines: Iterator[str]) -> list[str]:
    """Take as many lines as are parsed at once, at least one if there is one."""
    some: list[str] = []
    size = 0
    while size < _AT_ONCE and (line := next(lines, None)) is not None:
        some.append(line)
        size += len(line)
    return some


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _compact(levels: NDArray[np.float32]) -> NDArray[Any]:
    """Keep whole levels in bytes, as tables mostly have them."""
    is_whole = (levels >= 0).all() and (levels <= 255).all() and (levels == np.floor(levels)).all()
    return levels.astype(np.uint8) if is_whole else levels
