"""Datasets by name: read from a folder, the cache or a mirror, or drawn by the package."""

from .dataset import Dataset
from .idx import read_idx
from .labels import MAX_CLASSES
from .sets import DATASETS, FETCHABLE, SyntheticDataWarning, fetch, load

__all__ = [
    "DATASETS",
    "FETCHABLE",
    "MAX_CLASSES",
    "Dataset",
    "SyntheticDataWarning",
    "fetch",
    "load",
    "read_idx",
]
