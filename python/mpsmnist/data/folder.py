"""Finds the four files of a dataset in a folder of the user's, under any of their usual names."""

from pathlib import Path

from ..errors import DatasetError
from .dataset import Dataset, read_files
from .sources import Source


def read_folder(source: Source, folder: Path, given_as: str) -> Dataset:
    """Read `source` from `folder`, whose files may be plain or gzipped; `given_as` says who named the folder.

    Raises:
        DatasetError: the folder or one of its files is missing or broken.
    """
    if not folder.is_dir():
        raise DatasetError(f"{given_as} is {str(folder)!r}, which is not a folder")
    paths = [_find(folder, file.name) for file in source.files]
    missing = [file.name for file, path in zip(source.files, paths, strict=True) if path is None]
    if missing:
        raise DatasetError(
            f"{given_as} is {str(folder)!r}, which does not contain {source.name}: missing "
            f"{', '.join(missing)} (each may also be unpacked, without .gz, or have a dot before idx)"
        )
    return read_files(source, [path for path in paths if path is not None], str(folder))


def _find(folder: Path, name: str) -> Path | None:
    """Find the file `name` ("train-images-idx3-ubyte.gz"), maybe unpacked, maybe with a dot before idx."""
    plain = name.removesuffix(".gz")
    dotted = plain.replace("-idx", ".idx")
    candidates = (folder / candidate for candidate in (name, plain, dotted + ".gz", dotted))
    return next((path for path in candidates if path.exists()), None)
