"""The synthetic dataset: drawn by the package once, then kept in the cache."""

import logging
import warnings

from . import synthetic
from .arrays import FIELDS, Arrays, read_arrays, write_arrays
from .cache import CacheError, cache_folder, locked
from .dataset import Dataset
from .sources import DIGITS

_log = logging.getLogger(__name__)


def load_synthetic() -> Dataset:
    """Map the synthetic digits from the cache, drawing them first if they are not there.

    If the cache cannot be written, it warns, and the next call takes a few seconds to draw them again.
    """
    made_from = f"drawn by version {synthetic.VERSION}"
    arrays: Arrays | None = None
    try:
        path = cache_folder("synthetic") / "synthetic.npz"
        arrays = read_arrays(path, made_from, len(DIGITS))
        if arrays is not None:
            return _dataset(arrays, str(path))
        with locked(path.parent, "drawing the synthetic digits"):
            arrays = read_arrays(
                path, made_from, len(DIGITS)
            )  # another process may have drawn them meanwhile
            if arrays is None:
                arrays = _draw()
                arrays = write_arrays(path, arrays, made_from, len(DIGITS))
    except CacheError as error:
        warnings.warn(f"the synthetic digits are not kept for the next run: {error}", stacklevel=3)
    return _dataset(arrays or _draw(), "generated")


def _draw() -> Arrays:
    count = synthetic.TRAIN_SIZE + synthetic.TEST_SIZE
    _log.info("drawing %s synthetic digits, which takes some seconds", f"{count:,}")
    return dict(zip(FIELDS, synthetic.generate(seed=0), strict=True))


def _dataset(arrays: Arrays, source: str) -> Dataset:
    return Dataset("synthetic", classes=DIGITS, source=source, **arrays)
