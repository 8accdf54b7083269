"""The synthetic dataset: drawn by the package once, then kept in the cache."""

import logging
import warnings
from pathlib import Path

from ..errors import DatasetError
from . import synthetic
from .arrays import FIELDS, Arrays, read_arrays, write_arrays
from .cache import CacheError, cache_root, locked
from .dataset import Dataset
from .sources import DIGITS

SYNTHETIC = "synthetic"  # the name of the dataset
_log = logging.getLogger(__name__)


def load_synthetic(*, must_keep: bool = False) -> Dataset:
    """Map the synthetic digits from the cache, drawing them first if they are not there.

    If the cache cannot be written, it warns, and the next call takes a few seconds to draw them again.

    Raises:
        DatasetError: the cache cannot be written, and `must_keep`.
    """
    arrays: Arrays | None = None
    try:
        path = drawn_path()
        arrays = read_drawn(path)
        if arrays is not None:
            return _dataset(arrays, str(path))
        with locked(path.parent, "drawing the synthetic digits"):
            arrays = read_drawn(path)  # another process may have drawn them meanwhile
            if arrays is None:
                arrays = _draw()
                arrays = write_arrays(path, arrays, _made_from(), len(DIGITS))
    except CacheError as error:
        if must_keep:
            raise DatasetError(f"{SYNTHETIC}: the digits cannot be kept: {error}") from error
        warnings.warn(f"the synthetic digits are not kept for the next run: {error}", stacklevel=3)
    return _dataset(arrays or _draw(), "generated")


def drawn_path() -> Path:
    """Return the path of the digits in the cache. Raises CacheError if there can be no cache."""
    return cache_root() / SYNTHETIC / f"{SYNTHETIC}.npz"


def read_drawn(path: Path) -> Arrays | None:
    """Map the digits that were drawn by this version; None if they are not there, or damaged."""
    return read_arrays(path, _made_from(), len(DIGITS))


def _made_from() -> str:
    return f"drawn by version {synthetic.VERSION}"


def _draw() -> Arrays:
    count = synthetic.TRAIN_SIZE + synthetic.TEST_SIZE
    _log.info("drawing %s synthetic digits, which takes some seconds", f"{count:,}")
    return dict(zip(FIELDS, synthetic.generate(seed=0), strict=True))


def _dataset(arrays: Arrays, source: str) -> Dataset:
    return Dataset(SYNTHETIC, classes=DIGITS, source=source, **arrays)
