"""Refuses files that are something else than their names say, with words for what they are."""

from pathlib import Path
from typing import IO

from ..errors import DatasetError
from ..file_kinds import HEAD, FileKind, file_kind


def require_kind(path: Path, file: IO[bytes], expected: str, *kinds: FileKind) -> None:
    """Raise DatasetError if the file begins as one of a known kind that is none of `kinds`.

    Args:
        path: its path, for the message.
        file: open; it is left at its beginning.
        expected: what it should be, for the message.
        kinds: what it may be, if it is known at all.
    """
    kind = file_kind(file.read(HEAD))
    file.seek(0)
    if kind is not None and kind not in kinds:
        raise DatasetError(f"{path}: it is {kind.value}, expected {expected}")
