"""The pictures of summaries: what they say, in which colours and where."""

from __future__ import annotations

import argparse
import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import results
from contestants import contestants
from harness.arguments import picture_path
from harness.styles import COLOURS, SPARE_COLOURS, styles

if importlib.util.find_spec("matplotlib") is None:
    pytest.skip("matplotlib is not installed", allow_module_level=True)

from matplotlib.colors import to_hex, to_rgb
from matplotlib.container import ErrorbarContainer

from harness import plots
from support.figures import assert_readable, written

ENVIRONMENT = {
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "abc",
    "cpu": "Proc $x^{ 100%",
    "usable_cpus": 2,
    "threads": 2,
}
CONTESTANTS = [
    "mpsmnist-cpu", "mpsmnist-mps", "mpsmnist-cpu@before", "mpsmnist-gradients-cpu", "torch-eager-cpu",
    "torch-channels-last-cpu", "torch-compile-cpu", "torch-graph-cuda", "jax-cpu", "mlx-mps", "tinygrad-cpu",
    "numpy-cpu", "someone-new-cpu",
]  # fmt: skip


def latency(sizes: tuple[int, ...] = (1, 16), names: list[str] = CONTESTANTS, **settings: Any) -> Any:
    """A summary of latency.py; two contestants have the same times."""
    rows = []
    for size in sizes:
        for i, name in enumerate(names):
            for mode in ("step", "queued", "run"):
                median = size * (1 + i // 2) * 1.5
                times = {
                    "median": median,
                    "p90": median,
                    "p99": median,
                    "low": median / 2,
                    "high": median * 1.5,
                }
                rows.append({"batch_size": size, "contestant": name, "mode": mode, "milliseconds": times})
    values = {"operation": "step", "rounds": 5} | settings
    return {"kind": "latency", "environment": ENVIRONMENT, "settings": values, "rows": rows}


def accuracy() -> Any:
    """A summary of time_to_accuracy.py with a target that one contestant never reached."""
    recipes = [{"epochs": 1.0, "targets": [98.0, 99.0]}, {"epochs": 5.0, "targets": [99.4]}]
    rows, curves = [], []
    for recipe in recipes:
        for i, name in enumerate(("mpsmnist", "torch")):
            for target in recipe["targets"]:  # type: ignore[attr-defined]
                seconds = {"median": 8.0 + 9 * i + target % 3, "low": 5.0, "high": None}
                never = dict.fromkeys(seconds)
                rows.append(
                    {"epochs": recipe["epochs"], "target": target, "contestant": name}
                    | {"seconds": never if (name, target) == ("torch", 99.4) else seconds}
                )
            points = [[10 * k, k * (1 + 2 * i), 0.96 + 0.004 * k] for k in range(1, 11)]
            curves += [
                {"epochs": recipe["epochs"], "contestant": name, "seed": s, "points": points} for s in (0, 1)
            ]
    settings = {"seeds": 2, "recipes": recipes}
    return {
        "kind": "time_to_accuracy", "environment": ENVIRONMENT, "settings": settings, "rows": rows,
        "curves": curves,
    }  # fmt: skip


def batch_sizes() -> Any:
    rows = [
        {
            "batch_size": size,
            "microseconds_per_image": {"median": 200.0, "low": 150.0, "high": 300.0},
            "times_the_size_before": None if size == 1 else 0.9,
        }
        for size in (1, 2, 3, 16, 4096)
    ]
    settings = {"device": "cpu", "rounds": 7}
    return {"kind": "batch_sizes", "environment": ENVIRONMENT, "settings": settings, "rows": rows}


SUMMARIES = {
    "latency": latency,
    "one size": lambda: latency((64,)),
    "one contestant": lambda: latency((64,), ["mpsmnist-cpu"]),
    "nobody": lambda: latency(names=[]),
    "predict": lambda: latency((16, 64, 256), CONTESTANTS[:3], operation="predict", rounds=1),
    "late": lambda: latency((16,), CONTESTANTS[:2], after_steps=2000, momentum=0.9),
    "accuracy": accuracy,
    "batch sizes": batch_sizes,
}


@pytest.mark.parametrize("name", SUMMARIES)
def test_pictures_say_what_they_show(name: str) -> None:
    figure = plots.figure_of(SUMMARIES[name]())
    assert_readable(figure)
    text = "\n".join(text for text, _ in written(figure))
    assert "lower is better" in text or "fewer is better" in text
    assert "Whisker" in text or "whisker" in text
    assert "median" in text
    assert "Proc $x^{ 100%" in text
    assert ("network after 2,000 steps with momentum 0.9: time" in text) == (name == "late")
    if name == "nobody":
        assert "nothing was timed" in text


def test_whiskers_and_numbers_are_those_of_the_summary() -> None:
    summary = latency()
    for axes in plots.figure_of(summary).axes:
        size = int(axes.get_title(loc="left").split()[0])
        of_size = [row for row in summary["rows"] if row["batch_size"] == size]
        alone = "one at a time" in axes.get_title(loc="left")
        rows = {
            row["contestant"] if alone else f"{row['contestant']} {row['mode']}": row["milliseconds"]
            for row in of_size
            if (row["mode"] == "step") == alone
        }
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert sorted(names) == sorted(rows)
        medians = [rows[name]["median"] for name in names]
        assert medians == sorted(medians)
        assert axes.yaxis_inverted()  # the fastest on top
        assert [float(text.get_text()) for text in axes.texts] == pytest.approx(medians, rel=0.01)
        low, high = axes.get_xlim()
        for name, container in zip(names, axes.containers, strict=True):
            assert isinstance(container, ErrorbarContainer)
            dot, _, (whisker,) = container.lines
            assert dot is not None
            assert list(dot.get_xdata()) == [rows[name]["median"]]
            ends = sorted(whisker.get_segments()[0][:, 0])
            assert ends == pytest.approx([rows[name]["low"], rows[name]["high"]])
            assert low < ends[0] < ends[1] < high


def test_each_contestant_has_one_colour_in_all_panels_and_pictures() -> None:
    seen: dict[str, set[str]] = {}
    for names in (CONTESTANTS, CONTESTANTS[::-1], CONTESTANTS[4:9]):
        for axes in plots.figure_of(latency(names=names)).axes:
            for container in axes.containers:
                colour = to_hex(container.lines[0].get_color())  # type: ignore[attr-defined]
                seen.setdefault(str(container.get_label()), set()).add(colour)
    assert seen.keys() == set(CONTESTANTS)
    without_entry = {"mpsmnist-cpu@before", "someone-new-cpu"}  # of one colour in one picture alone
    assert {name for name, colours in seen.items() if len(colours) > 1} <= without_entry
    for axes in plots.figure_of(accuracy()).axes:
        ours = {to_hex(line.get_color()) for line in axes.lines if line.get_label() == "mpsmnist"}
        theirs = {to_hex(line.get_color()) for line in axes.lines if line.get_label() == "torch"}
        assert ours == seen["mpsmnist-cpu"]
        assert theirs == seen["torch-channels-last-cpu"]


def test_contestants_differ_in_colour_or_marker() -> None:
    looks = styles(CONTESTANTS)
    assert len({look[:2] for look in looks.values()}) == len(CONTESTANTS)
    assert looks["mpsmnist-cpu"].colour == looks["mpsmnist-mps"].colour == COLOURS["mpsmnist"]
    assert looks["mpsmnist-cpu@before"].colour in SPARE_COLOURS
    assert len(set(COLOURS.values()) | set(SPARE_COLOURS)) == len(COLOURS) + len(SPARE_COLOURS) - 1
    many = styles(f"new-{i}" for i in range(20))
    assert {many[f"new-{i}"].colour for i in range(len(SPARE_COLOURS), 20)} == {SPARE_COLOURS[-1]}
    timed = [entry.name for entry in contestants() if "step" in entry.operations]
    assert len({look[:2] for look in styles(timed).values()}) == len(timed)


def test_the_legend_is_outside_the_data() -> None:
    figure = plots.figure_of(accuracy())
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["mpsmnist", "torch"]
    assert all(axes.get_legend() is None for axes in figure.axes)
    for axes in figure.axes:
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())


def test_a_target_that_was_never_reached_has_no_dot() -> None:
    summary = accuracy()
    shown = {axes.get_title(loc="left"): axes for axes in plots.figure_of(summary).axes}
    assert [text.get_text() for text in shown["5 epochs"].texts] == ["8.4 s"]
    assert len(shown["1 epoch"].texts) == 4
    assert all(axes.get_ylim()[1] == 100 for axes in shown.values())


def test_no_contestant_takes_anothers_colour_in_the_file(tmp_path: Path) -> None:
    plots.draw(latency((16, 64)), tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        counted = picture.convert("RGB").getcolors(picture.width * picture.height) or []
    colours = {colour for _, colour in counted}
    for look in styles(CONTESTANTS).values():
        assert tuple(round(255 * part) for part in to_rgb(look.colour)) in colours


def test_published_pictures_are_small(tmp_path: Path) -> None:
    pictures = sorted(results.SUMMARIES.glob("*.png"))
    if not pictures:
        pytest.skip("no results here: an sdist leaves them out")
    assert all(picture.stat().st_size < 100_000 for picture in pictures)
    copied = tmp_path / pictures[-1].name
    copied.write_bytes(b"old")
    copied.with_suffix(".json").write_bytes(pictures[-1].with_suffix(".json").read_bytes())
    results.draw_pictures(tmp_path)
    assert copied.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("suffix", "beginning"), [("PNG", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_suffix_decides_the_format(tmp_path: Path, suffix: str, beginning: bytes) -> None:
    path = tmp_path / f"picture.{suffix}"
    assert picture_path(str(path)) == path
    plots.draw(batch_sizes(), path)
    assert path.read_bytes().startswith(beginning)
    for other in ("picture", "picture.gif"):
        with pytest.raises(
            argparse.ArgumentTypeError, match=r"expected a name that ends in \.png, \.pdf, \.svg"
        ):
            picture_path(str(tmp_path / other))


def test_summaries_are_left_as_they_were() -> None:
    summary = latency()
    before = copy.deepcopy(summary)
    plots.figure_of(summary)
    assert summary == before
