"""Finds the four files of a dataset in a folder of the user's, under any of their usual names."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from ..errors import DatasetError
from ..user_files import open_regular, reason_of
from .dataset import Dataset, read_files
from .sources import Source

_MAX_LISTED = 12  # names in a message
_MAX_SEARCHED = 1000  # entries of a folder in which the files were not found


def read_folder(source: Source, folder: Path, given_by: str | None = None) -> Dataset:
    """Read `source` from `folder`, whose files may be plain or gzipped.

    Args:
        source: what to look for.
        folder: where.
        given_by: the environment variable that names the folder, if one does.

    Raises:
        DatasetError: the folder or one of its files is missing or broken.
    """
    described = f"the data folder {str(folder)!r}" + (f" (from {given_by})" if given_by else "")
    if not os.path.isdir(folder):  # unlike Path.is_dir, never an error
        raise DatasetError(f"{described} is not a folder")
    unusable: list[str] = []
    paths = [_find(folder, file.name, unusable) for file in source.files]
    missing = [file.name for file, path in zip(source.files, paths, strict=True) if path is None]
    if missing:
        raise DatasetError(
            f"{described} does not contain {source.name}: missing {', '.join(missing)} "
            "(each may also be unpacked, without .gz, or have a dot before idx)"
            + "".join(f"\n  {line}" for line in unusable)
            + "".join(f"\n  {line}" for line in _misnamed(folder, missing))
            + f"\n  {_describe(source, folder)}"
        )
    return read_files(source, [path for path in paths if path is not None], str(folder))


def _names(name: str) -> tuple[str, ...]:
    """Return the names that the file `name` ("train-images-idx3-ubyte.gz") may have."""
    plain = name.removesuffix(".gz")
    dotted = plain.replace("-idx", ".idx")
    return name, plain, dotted + ".gz", dotted


def _find(folder: Path, name: str, unusable: list[str]) -> Path | None:
    """Find a regular file that can be read; adds to `unusable` why what else has the name is none."""
    for path in (folder / candidate for candidate in _names(name)):
        try:
            open_regular(path).close()
            return path
        except FileNotFoundError:
            if path.is_symlink():
                unusable.append(
                    f"{path.name} cannot be used: it is a link to {path.readlink()}, which is missing"
                )
        except OSError as error:
            unusable.append(f"{path.name} cannot be used: {reason_of(error)}")
    return None


def _misnamed(folder: Path, missing: Sequence[str]) -> Iterator[str]:
    """Say which missing files go by names that other programs give them, and the names they need."""
    for name in missing:
        for needed in _names(name):
            other = needed.replace("t10k-", "test-")
            if other != needed and os.path.isfile(folder / other):
                yield f"rename {other} to {needed}"


def _describe(source: Source, folder: Path) -> str:
    """Say where below `folder` the files are, or else what it holds."""
    for below in _folders_below(folder):
        if all(any(os.path.isfile(below / name) for name in _names(file.name)) for file in source.files):
            return f"its folder {str(below.relative_to(folder))!r} does contain them: name that one"
    try:
        names = sorted(
            path.name + "/" * os.path.isdir(path) for path in islice(folder.iterdir(), _MAX_SEARCHED)
        )
    except OSError as error:
        return f"it cannot be listed: {reason_of(error)}"
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"it holds {', '.join(names[:_MAX_LISTED])}{more}" if names else "it is empty"


def _folders_below(folder: Path) -> Iterator[Path]:
    """Yield the folders up to two levels below, such as torchvision's MNIST/raw."""
    for pattern in ("*", "*/*"):
        yield from (path for path in islice(folder.glob(pattern), _MAX_SEARCHED) if os.path.isdir(path))
