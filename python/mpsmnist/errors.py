"""The errors that are not a caller's mistake (those are ValueError and TypeError)."""

from ._core import DeviceError, Error

__all__ = ["CheckpointError", "DatasetError", "DeviceError", "Error"]


class DatasetError(Error):
    """A dataset is missing, incomplete or not what its name says."""


class CheckpointError(Error):
    """A checkpoint cannot be read or written, or is not what was asked for."""
