"""What a matplotlib figure shows, without looking at pixels."""

from __future__ import annotations

from unittest import mock

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def written(figure: Figure) -> list[tuple[str, Bbox]]:
    """What is written in the figure and where, in pixels."""
    with mock.patch.object(Text, "draw", autospec=True) as draw:
        figure.draw_without_rendering()
    texts = dict.fromkeys(call.args[0] for call in draw.call_args_list)
    shown = [text for text in texts if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in shown]


def assert_readable(figure: Figure) -> None:
    """No text lies over another one or leaves the figure."""
    found = written(figure)
    assert found
    for i, (text, box) in enumerate(found):
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
        for other, its_box in found[:i]:
            assert Bbox.intersection(box.padded(-1), its_box.padded(-1)) is None, (text, other)
