"""What the cache has of each dataset that is known by name, told by its files' names and sizes."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from .cache import cache_root
from .downloaded import unpacked_path
from .generated import SYNTHETIC, drawn_path
from .sources import SOURCES


@dataclass(frozen=True)
class CachedSet:
    """What the cache has of a dataset.

    Attributes:
        name: the dataset's.
        folder: where its files are, or would be.
        downloads: where its downloads are, or would be; none of the synthetic digits.
        unpacked: where its arrays are, or would be.
        sizes: in bytes, of those of these files that are there.
    """

    name: str
    folder: Path
    downloads: tuple[Path, ...]
    unpacked: Path
    sizes: dict[Path, int]

    @property
    def missing(self) -> list[Path]:
        """What it cannot be loaded without: not arrays that can be made of the downloads."""
        return [path for path in self.downloads or (self.unpacked,) if path not in self.sizes]


def find_cached(name: str) -> CachedSet:
    """Find what the cache has of one of FETCHABLE. Raises CacheError if there can be no cache."""
    downloads: tuple[Path, ...] = ()
    if name == SYNTHETIC:
        unpacked = drawn_path()
    else:
        source = SOURCES[name]
        unpacked = unpacked_path(source, cache_root() / source.cached_in)
        downloads = tuple(unpacked.parent / each.name for each in source.downloads)
    sizes = {path: size for path in (*downloads, unpacked) if (size := _size(path)) is not None}
    return CachedSet(name, unpacked.parent, downloads, unpacked, sizes)


def _size(path: Path) -> int | None:
    """Return the size of a regular file in bytes, None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
