"""Reads the files of a dataset from its downloads: IDX files, or members of a zip archive."""

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import DatasetError
from ..file_kinds import FileKind
from ..user_files import open_regular, reason_of
from .idx import MAX_DEFLATE_RATIO, read_idx, read_idx_from
from .kinds import require_kind
from .sources import Download, Source, SourceFile

_CHUNK = 1 << 20
_END = 1 << 16  # bytes
ALGORITHMS = {"sha256": "SHA-256", "md5": "MD5"}


def stored_name(path: Path, file: SourceFile) -> str:
    """Return what to call `file`, which the download at `path` is or has, in messages."""
    return str(path) if file.member is None else f"{path}: {file.member}"


def has_archive(source: Source, folder: Path) -> bool:
    """Tell whether the files of `source` come in archives, and those are in `folder`."""
    return source.archived and all(os.path.isfile(folder / each.name) for each in source.downloads)


def read_download(path: Path, file: SourceFile, *, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Read the array of `file` from its download at `path`: of an archive, nothing else is unpacked.

    Raises:
        DatasetError: as of read_idx().
    """
    if file.member is None:
        return read_idx(path, shape=shape)
    require_archive(path)
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


def require_archive(path: Path) -> None:
    """Raise DatasetError unless there is a zip archive at `path`. Of its members nothing is read."""
    try:
        with open_regular(path) as file:
            require_kind(path, file, "a ZIP archive", FileKind.ZIP)
            zipfile.ZipFile(file).close()
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetError(f"{os.fspath(path)}: cannot be read: {reason_of(error)}") from error
    except Exception as error:
        raise DatasetError(f"{path}: damaged ZIP archive, or part of one: {reason_of(error)}") from error


def checksum(path: Path, algorithm: str) -> str:
    """Compute the "sha256" or "md5" of a file, in hexadecimal digits.

    Raises:
        DatasetError: it cannot be read.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with open_regular(path) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise DatasetError(f"{os.fspath(path)}: cannot be read: {reason_of(error)}") from error
    return digest.hexdigest()


def checksum_flaw(path: Path, download: Download) -> str | None:
    """Say that the file at `path` is unreadable or is not `download` by its checksum; None if it is right."""
    algorithm, expected = download.checksum.split(":")
    try:
        found = checksum(path, algorithm)
    except DatasetError as error:
        return str(error).removeprefix(f"{path}: ")
    return None if found == expected else f"has {ALGORITHMS[algorithm]} {found}, expected {expected}"


def fingerprint(path: Path) -> str:
    """Return what tells a download from others of its name without reading all of it: its size and its end.

    A gzip file ends with the CRC-32 of its content, and a zip archive with those of all its members.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END))
            return f"{size} bytes ending {hashlib.sha256(file.read()).hexdigest()[:32]}"
    except OSError as error:
        raise DatasetError(f"{os.fspath(path)}: cannot be read: {reason_of(error)}") from error
