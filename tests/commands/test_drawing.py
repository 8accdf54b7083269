"""Images drawn as text: what is seen, in any terminal, is the images and the names of their classes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from mpsmnist.commands.drawing import GAP, draw_grid, most_columns, style_for
from support.terminal import Terminal, greys, width, without_colours

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 28, 28), np.uint8)
NAMES = list("abcde")


@pytest.fixture(autouse=True)
def terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def drawn(stream: io.TextIOBase, columns: int, wide: int) -> list[str]:
    return list(draw_grid(IMAGES, NAMES, style_for(stream), columns, wide))


def as_greys(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.rint(images / 255 * 23).astype(np.int64)


def test_a_terminal_with_colours_shows_every_pixel() -> None:
    lines = drawn(Terminal(), columns=2, wide=58)
    assert len(lines) == 3 * (1 + 14)
    assert [line.split() for line in lines[::15]] == [["a", "b"], ["c", "d"], ["e"]]
    for place, image in enumerate(IMAGES):
        row, column = divmod(place, 2)
        seen = greys(lines[15 * row + 1 : 15 * row + 15])[:, column * (28 + GAP) :][:, :28]
        np.testing.assert_array_equal(seen, as_greys(image))


def test_where_they_do_not_fit_they_are_half_as_large() -> None:
    lines = drawn(Terminal(), columns=2, wide=57)
    assert len(lines) == 3 * (1 + 7)
    means = IMAGES.reshape(5, 14, 2, 14, 2).mean(axis=(2, 4)).round()
    np.testing.assert_array_equal(greys(lines[1:8])[:, :14], as_greys(means[0]))
    np.testing.assert_array_equal(greys(lines[9:16])[:, 14 + GAP :], as_greys(means[3]))


@pytest.mark.parametrize(
    ("environment", "stream"),
    [
        ({"NO_COLOR": "1"}, Terminal()),
        ({"TERM": "dumb"}, Terminal()),
        ({}, Terminal("ascii")),
        ({}, io.StringIO()),
        ({}, io.TextIOWrapper(io.BytesIO(), "latin-1")),
        ({}, None),
    ],
    ids=["NO_COLOR", "dumb", "ascii", "a file", "a pipe", "no stream"],
)
def test_elsewhere_there_are_no_colours(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], stream: Terminal
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    shades = " .:+#" if encoding in ("ascii", "latin-1") else " \u2591\u2592\u2593\u2588"
    lines = drawn(stream, columns=1, wide=28)
    assert len(lines) == 5 * 15
    assert lines[0].strip() == "a"
    means = IMAGES[0].reshape(14, 2, 28).mean(axis=1).round()
    for line, row in zip(lines[1:15], means, strict=True):
        assert line == "".join(shades[round(mean * 4 / 255)] for mean in row).rstrip()


def test_an_empty_no_color_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b" in drawn(Terminal(), 1, 28)[1]


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["colours", "plain"])
def test_no_line_is_wider_than_the_terminal(stream: io.TextIOBase) -> None:
    style = style_for(stream)
    assert most_columns(style, style.sides[-1] - 1) == 0
    for wide in range(style.sides[-1], 130):
        most = most_columns(style, wide)
        for columns in {1, most}:
            lines = drawn(stream, columns, wide)
            assert max(map(width, lines)) <= wide
        assert (most + 1) * (style.sides[-1] + GAP) - GAP > wide


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("7", "             7"),
        ("Ankle boot", "         Ankle boot"),
        ("x" * 40, "x" * 28),
        ("\N{HIRAGANA LETTER A}" * 20, "\N{HIRAGANA LETTER A}" * 14),
        ("e\N{COMBINING ACUTE ACCENT}" * 28, "e\N{COMBINING ACUTE ACCENT}" * 28),
        ("a\n\x1b[31mb", "        a\\n\\x1b[31mb"),
    ],
)
def test_names_are_centred_and_cut_and_command_no_terminal(name: str, shown: str) -> None:
    style = style_for(Terminal())
    first, second = (next(iter(draw_grid(IMAGES[:2], [name, "7"], style, n, 58))) for n in (1, 2))
    assert first == shown
    assert width(second) == 28 + GAP + 14  # the next one is in its place
    assert without_colours(second) == second
