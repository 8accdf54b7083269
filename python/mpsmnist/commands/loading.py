"""Loads the data of a command, and says what it is not to be taken for."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..data import Dataset, SyntheticDataWarning, load
from .console import UsageError, complain


def load_dataset(program: str, name: str, **options: Any) -> Dataset:
    """Do what load() does, with its warnings told.

    Raises:
        UsageError: an option has a value that it cannot have.
        DatasetError: as of load().
    """
    with _telling_warnings(program):
        try:
            return load(name, **options)
        except ValueError as error:
            raise UsageError(str(error)) from error


@contextmanager
def _telling_warnings(program: str) -> Iterator[None]:
    """Print the block's warnings to stderr when it has ended well.

    That digits are not real MNIST must not be missed, however quiet the command.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        text = str(warning.message).strip()
        if issubclass(warning.category, SyntheticDataWarning):
            line = "*" * 100
            complain(program, f"warning:\n{line}\n{text}\n{line}")
        else:
            complain(program, f"warning: {text}")
