"""Objects that show their values through one protocol alone, as arrays of other frameworks do."""

from __future__ import annotations


class DlpackOnly:
    """What a CPU tensor of another framework looks like."""

    def __init__(self, values):
        self._values = values

    def __dlpack__(self, **options):
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()


class ArrayOnly:
    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return self._values if dtype is None else self._values.astype(dtype)
