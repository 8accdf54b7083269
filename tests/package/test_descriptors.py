"""Descriptors that are another's for a while."""

from __future__ import annotations

import os
import tempfile

import pytest

from mpsmnist.descriptors import discarding, is_written_to


def test_what_is_written_to_a_descriptor_is_discarded_in_the_block() -> None:
    with tempfile.TemporaryFile() as file:
        with discarding(file.fileno()):
            os.write(file.fileno(), b"lost")
        os.write(file.fileno(), b"kept")
        file.seek(0)
        assert file.read() == b"kept"


def test_without_a_null_device_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError("too many")

    with tempfile.TemporaryFile() as file:
        lowest = os.dup(file.fileno())
        os.close(lowest)
        monkeypatch.setattr(os, "open", fail)
        with pytest.raises(OSError, match="too many"), discarding(file.fileno()):
            pass
        monkeypatch.undo()
        again = os.dup(file.fileno())
        os.close(again)
        assert again == lowest


def test_only_what_is_open_for_writing_is_written_to() -> None:
    read, write = os.pipe()
    assert (is_written_to(read), is_written_to(write)) == (False, True)
    os.close(read)
    os.close(write)
    assert not is_written_to(write)
