"""Files of the user's own, whatever is in them: the targets of tests/fuzz, by a few dozen examples each."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.targets import TARGETS

# The same examples each time, none kept on disk, and nothing that depends on the clock.
quick = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
more = settings(quick, max_examples=100)


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Draw a file with a few bytes replaced, removed or put in, mostly near an end; or cut off."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, 100) | st.integers(-100, -1) | st.integers(0, len(data)))
        place = min(place % (len(data) + 1), len(data))
        removed = draw(st.sampled_from([0, 1, 1, 1, 4, len(data)]))
        data[place : place + removed] = draw(st.binary(max_size=4))
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_or_refused(name: str) -> None:
    target = TARGETS[name]
    more(given(damaged(list(target.seeds())))(target.check))()


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_written_is_read(name: str) -> None:
    quick(TARGETS[name].round_trip)()
