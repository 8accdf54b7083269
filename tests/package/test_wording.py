"""Words of messages."""

from __future__ import annotations

import pytest

from mpsmnist.wording import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (1000, "1,000 steps")]
)
def test_one_is_singular(number: int, text: str) -> None:
    assert counted(number, "step") == text
