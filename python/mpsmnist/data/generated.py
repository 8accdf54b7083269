"""The synthetic dataset: drawn by the package once, then kept in the cache."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..user_files import open_regular
from . import synthetic
from .cache import CacheError, cache_folder, locked, replacing
from .dataset import Dataset
from .sources import DIGITS

_SHAPES = {
    "train_images": (60000, 28, 28),
    "train_labels": (60000,),
    "test_images": (10000, 28, 28),
    "test_labels": (10000,),
}
_log = logging.getLogger(__name__)

_Arrays = Mapping[str, Any]  # uint8 arrays with the names and shapes of _SHAPES


def load_synthetic() -> Dataset:
    """Read the synthetic digits from the cache, drawing them first if they are not there.

    If the cache cannot be written, it warns, and the next call takes a few seconds to draw them again.
    """
    arrays: _Arrays | None = None
    try:
        path = cache_folder("synthetic") / f"v{synthetic.VERSION}.npz"
        arrays = _read(path)
        if arrays is not None:
            return _dataset(arrays, str(path))
        with locked(path.parent, "drawing the synthetic digits"):
            arrays = _read(path)  # another process may have drawn them while this one waited
            if arrays is None:
                arrays = _draw()
                with replacing(path) as file:
                    np.savez(file, **arrays)
    except CacheError as error:
        warnings.warn(f"the synthetic digits are not kept for the next run: {error}", stacklevel=3)
    return _dataset(arrays or _draw(), "generated")


def _draw() -> _Arrays:
    count = synthetic.TRAIN_SIZE + synthetic.TEST_SIZE
    _log.info("drawing %s synthetic digits, which takes some seconds", f"{count:,}")
    return dict(zip(_SHAPES, synthetic.generate(seed=0), strict=True))


def _read(path: Path) -> _Arrays | None:
    """Read the arrays in `path`; None if it is missing or damaged, since they can be drawn again."""
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in _SHAPES}
    except Exception:  # a damaged archive fails in many ways, all of which mean the same
        return None
    return arrays if _is_sound(arrays) else None


def _is_sound(arrays: _Arrays) -> bool:
    shapes = {name: array.shape for name, array in arrays.items() if array.dtype == np.uint8}
    return shapes == _SHAPES and all(
        arrays[name].max() < len(DIGITS) for name in ("train_labels", "test_labels")
    )


def _dataset(arrays: _Arrays, source: str) -> Dataset:
    return Dataset("synthetic", classes=DIGITS, source=source, **arrays)
