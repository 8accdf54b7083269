"""Reads the files of a dataset from its downloads: IDX files, or members of a zip archive."""

import os
import zipfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import DatasetError
from ..user_files import open_regular, reason_of
from .idx import MAX_DEFLATE_RATIO, read_idx, read_idx_from
from .sources import SourceFile


def stored_name(path: Path, file: SourceFile) -> str:
    """Return what to call `file`, which the download at `path` is or has, in messages."""
    return str(path) if file.member is None else f"{path}: {file.member}"


def read_download(path: Path, file: SourceFile, *, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Read the array of `file` from its download at `path`: of an archive, nothing else is unpacked.

    Raises:
        DatasetError: as of read_idx().
    """
    if file.member is None:
        return read_idx(path, shape=shape)
    name = stored_name(path, file)
    try:
        with open_regular(path) as opened, zipfile.ZipFile(opened) as archive:
            info = archive.getinfo(file.member)
            most = os.fstat(opened.fileno()).st_size * MAX_DEFLATE_RATIO  # whatever the archive says
            with archive.open(info) as member:
                return read_idx_from(member, name, shape=shape, size=min(info.file_size, most))
    except (DatasetError, MemoryError):
        raise
    except OSError as error:
        raise DatasetError(f"{os.fspath(path)}: cannot be read: {reason_of(error)}") from error
    except KeyError:
        raise DatasetError(f"{name}: is missing in the archive") from None
    except Exception as error:  # a damaged archive fails in many ways: zipfile.BadZipFile is one of them
        raise DatasetError(f"{name}: damaged zip data: {reason_of(error)}") from error
