"""What commands in several threads change of the process, and leave as it was."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import pytest

from mpsmnist.commands.log import telling
from mpsmnist.commands.shared import Shared


def test_the_first_block_makes_the_change_and_the_last_undoes_it() -> None:
    seen = []

    @contextlib.contextmanager
    def change() -> Iterator[int]:
        seen.append("made")
        try:
            yield len(seen)
        finally:
            seen.append("undone")

    shared = Shared(change)
    for count in (1, 2):
        first, second = shared.block(), shared.block()
        assert first.__enter__() == second.__enter__() == 2 * count - 1
        first.__exit__(None, None, None)
        assert seen == ["made", "undone"] * (count - 1) + ["made"]
        second.__exit__(None, None, None)
        assert seen == ["made", "undone"] * count


def test_a_change_that_fails_is_tried_again() -> None:
    attempts = []

    @contextlib.contextmanager
    def change() -> Iterator[None]:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("not now")
        yield

    shared = Shared(change)
    with pytest.raises(OSError, match="not now"), shared.block():
        pass
    with shared.block():
        assert len(attempts) == 2


def test_threads_tell_their_own_messages_and_leave_the_logger(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("mpsmnist")
    before = logger.level, list(logger.handlers)
    both, one_ended = threading.Barrier(2), threading.Event()

    def tell(name: str) -> None:
        with telling(name):
            both.wait(30)
            if name == "second":
                assert one_ended.wait(30)
            logger.info("a message")
        one_ended.set()

    threads = [threading.Thread(target=tell, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (logger.level, logger.handlers) == before
    assert capsys.readouterr().err == "first: a message\nsecond: a message\n"
