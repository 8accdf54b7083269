"""A matplotlib figure of a training run: its curves, and the test images that it got most wrong.

Importing this module imports matplotlib, which is an extra; nothing here touches pyplot or the backend.
"""

import io
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..wording import counted
from .events import TrainResult
from .mistakes import Mistake, find_mistakes

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.text import Text
    from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter
except ImportError as error:
    raise ImportError(
        f"a plot needs matplotlib, which cannot be imported ({error}): pip install 'mpsmnist[plot]'"
    ) from error

COLUMNS, MOST_ROWS = 5, 3  # of mistakes
WIDTH, CURVES_HEIGHT, HEADING_HEIGHT, ROW_HEIGHT = 11.0, 4.4, 0.45, 1.85  # inches
DPI = 110
SMOOTHED = 25  # the smoothed loss is the mean of so many parts of the run
MOST_BINS = 1000  # a curve of more points than two in each of these shows each bin's lowest and highest
MOST_MARKERS = 50
LONGEST_CLASS, LONGEST_DATASET = 12, 40

# Colours that people with any kind of colour vision can tell apart (Okabe and Ito), on white and on black.
BATCHES, BATCHES_PALE = "#0072B2", "#9CC9E3"
# By the prefix of an evaluation's field, such as "train" of train_accuracy.
SETS = {
    "": ("test", "#D55E00", "o"),
    "train": ("training", "#0072B2", "s"),
    "validation": ("validation", "#009E73", "^"),
}


class RunFigure(Figure):
    """A Figure that notebooks show even where nobody has imported pyplot, which would teach them to."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=DPI)
        return picture.getvalue()


class _Curve(NamedTuple):
    """One quantity on one set of images, as the evaluations found it."""

    label: str
    style: dict[str, str]
    steps: NDArray[np.int64]
    values: NDArray[np.float64]


def figure(result: TrainResult, dataset: Dataset) -> Figure:
    """Draw a run: the losses of its batches, its evaluations, and the worst mistakes on the test images.

    Show it in a notebook as a cell's last line, or save it with `.savefig(path)`. The test images are
    predicted with `result.trainer`, which takes about as long as an evaluation.

    Args:
        result: what train() returned; the run may have been interrupted or resumed.
        dataset: what it was trained on; its `classes` are written at the mistakes.

    Raises:
        ImportError: matplotlib cannot be imported; raised by the import of this module.
    """
    mistakes = find_mistakes(result.trainer.predict(dataset.test_images), dataset.test_labels)
    rows = min(MOST_ROWS, math.ceil(len(mistakes) / COLUMNS))
    heights = [CURVES_HEIGHT] + ([HEADING_HEIGHT + ROW_HEIGHT * rows] if rows else [])
    drawn = RunFigure(figsize=(WIDTH, sum(heights)), layout="constrained")
    curves, *pictures = drawn.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat
    curves.suptitle(_headline(result, mistakes, dataset))
    losses, accuracies = curves.subplots(1, 2, sharex=True)
    _draw_losses(losses, result)
    _draw_accuracies(accuracies, result)
    for part in pictures:
        _draw_mistakes(part, mistakes[: COLUMNS * rows], dataset)
    for text in drawn.findobj(Text):  # names are no formulas, and % starts no comment
        text.set(parse_math=False, usetex=False)
    return drawn


def _headline(result: TrainResult, mistakes: Sequence[Mistake], dataset: Dataset) -> str:
    """Say in two lines what was trained and what became of it."""
    images = len(dataset.test_images)
    name = _readable(result.dataset, LONGEST_DATASET)
    accuracy = f"{1 - len(mistakes) / images:.2%} of {counted(images, 'test image')} right"
    ended = "interrupted after" if result.interrupted else "after"
    before = result.steps - len(result.losses)
    resumed = f"resumed after step {before:,}, " if before else ""
    wrong = counted(len(mistakes), "mistake") if mistakes else "no mistakes"
    return (
        f"{name}: {accuracy} ({wrong}), {ended} {counted(result.steps, 'step')}\n"
        f"{resumed}trained on {result.device} for {result.train_seconds:,.1f} seconds"
    )


def _draw_losses(axes: Axes, result: TrainResult) -> None:
    steps = np.arange(result.steps - len(result.losses), result.steps) + 1
    losses = result.losses.astype(np.float64)
    curves = list(_curves(result, "loss"))
    smooth, window = losses, len(losses) // SMOOTHED
    if losses.size:
        few: dict[str, Any] = {"marker": ".", "clip_on": False} if window <= 1 else {}
        axes.plot(*_thinned(steps, losses), color=BATCHES_PALE, linewidth=0.8, label="each batch", **few)
    if window > 1:
        sums = np.concatenate([[0.0], losses.cumsum()])
        smooth = (sums[window:] - sums[:-window]) / window
        label = f"mean of the last {window:,} batches"
        axes.plot(*_thinned(steps[window - 1 :], smooth), color=BATCHES, label=label)
    _draw_curves(axes, curves)
    _scale_losses(axes, np.concatenate([smooth, *(curve.values for curve in curves)]), losses)
    _finish(axes, result, "loss, log scale" if axes.get_yscale() == "log" else "loss")


def _scale_losses(axes: Axes, shown: NDArray[np.float64], losses: NDArray[np.float64]) -> None:
    """Scale by the smooth curves, in logarithms if they span much; single batches may leave at the bottom."""
    positive = shown[shown > 0]
    if not positive.size:
        return
    low, high = positive.min(), max(positive.max(), losses.max(initial=0))
    if high < 10 * low:
        axes.set_ylim(bottom=0)
        return
    axes.set_yscale("log")
    axes.set_ylim(low / 2, high * 1.5)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _draw_accuracies(axes: Axes, result: TrainResult) -> None:
    curves = list(_curves(result, "accuracy"))
    percents = [
        curve._replace(label=f"{curve.label} {curve.values[-1]:.2%}", values=100 * curve.values)
        for curve in curves
    ]
    _draw_curves(axes, percents)
    lowest = min((curve.values.min() for curve in percents), default=0.0)
    axes.set_ylim(max(0.0, min(99.0, lowest - 0.08 * (100 - lowest))), 100)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}%"))
    _finish(axes, result, "accuracy")


def _curves(result: TrainResult, quantity: str) -> Iterator[_Curve]:
    """Yield a curve for each field of the evaluations that is this quantity, such as `train_accuracy`."""
    for field in result.evaluations[0]._fields if result.evaluations else ():
        prefix = field.removesuffix(quantity).rstrip("_")
        points = [(e.step, getattr(e, field)) for e in result.evaluations if getattr(e, field) is not None]
        if field.endswith(quantity) and points:
            label, colour, marker = SETS.get(prefix, (prefix, "#CC79A7", "D"))
            steps, values = zip(*points, strict=True)
            yield _Curve(label, {"color": colour, "marker": marker}, np.array(steps), np.array(values, float))


def _draw_curves(axes: Axes, curves: Sequence[_Curve]) -> None:
    for curve in curves:
        steps, values = _thinned(curve.steps, curve.values)
        style: dict[str, Any] = curve.style | ({"marker": ""} if len(steps) > MOST_MARKERS else {})
        style |= {"markersize": 5, "linewidth": 1.5, "clip_on": False, "zorder": 3}  # whole markers at 100%
        axes.plot(steps, values, label=curve.label, **style)


def _finish(axes: Axes, result: TrainResult, quantity: str) -> None:
    """Add what both curves have: the steps below, the legend above, and a grid."""
    axes.set_xlim(min(result.steps - 1, result.steps - len(result.losses)), result.steps)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(xlabel="step", ylabel=quantity)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        _, labels = axes.get_legend_handles_labels()
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=3 if len(labels) <= 3 else 2,
            frameon=False,
            fontsize=9,
            handlelength=1.5,
            columnspacing=1.2,
        )
    else:
        axes.text(0.5, 0.5, f"no {quantity} was measured", transform=axes.transAxes, ha="center")


def _draw_mistakes(part: SubFigure, mistakes: Sequence[Mistake], dataset: Dataset) -> None:
    part.suptitle("The worst mistakes: where the label got the least probability", fontsize="medium")
    rows = math.ceil(len(mistakes) / COLUMNS)
    cells = part.subplots(rows, COLUMNS, squeeze=False).flat
    for axes in part.axes:
        axes.axis("off")
    for axes, mistake in zip(cells, mistakes, strict=False):
        axes.imshow(dataset.test_images[mistake.image].reshape(28, 28), cmap="gray_r", vmin=0, vmax=255)
        predicted, label = (_class_name(dataset, number) for number in (mistake.predicted, mistake.label))
        axes.set_title(f"predicted {predicted} ({mistake.confidence:.0%}),\nlabel {label}", fontsize=9)


def _class_name(dataset: Dataset, number: int) -> str:
    return _readable(dataset.classes[number], LONGEST_CLASS)


def _thinned(
    steps: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Leave the lowest and the highest value of each of MOST_BINS bins: the same line to the eye."""
    if len(values) <= 2 * MOST_BINS:
        return steps, values
    edges = np.linspace(0, len(values), MOST_BINS + 1).astype(int)
    kept = {0, len(values) - 1}
    for begin, end in pairwise(edges):
        kept |= {begin + int(values[begin:end].argmin()), begin + int(values[begin:end].argmax())}
    chosen = np.array(sorted(kept))
    return steps[chosen], values[chosen]


def _readable(name: str, longest: int) -> str:
    """Shorten a name, and escape what no font can draw."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
