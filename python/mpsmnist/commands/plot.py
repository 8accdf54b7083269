"""A picture of a training run: its curves, and the test images that it got most wrong. Needs matplotlib."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..errors import Error
from ..training.events import TrainResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS, COLUMNS = 3, 8


class Mistake(NamedTuple):
    """A test image that was read as another class."""

    image: int  # its index in the test set
    label: int
    predicted: int
    confidence: float  # the probability of the wrong class


def require_matplotlib() -> None:
    """Raise Error, which says how to install it, if matplotlib is missing."""
    if find_spec("matplotlib") is None:
        raise Error("a plot needs matplotlib, which is not installed: pip install 'mpsmnist[plot]'")


def worst_mistakes(
    probabilities: NDArray[np.float32], labels: NDArray[np.uint8], count: int
) -> list[Mistake]:
    """Find up to `count` wrong predictions, those whose true class got the least probability first.

    probabilities: float32 (n, C), from Trainer.predict; labels: integers (n,).
    """
    predicted = probabilities.argmax(axis=1)
    of_label = probabilities[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(of_label[wrong], kind="stable")][:count]
    return [
        Mistake(int(i), int(labels[i]), int(predicted[i]), float(probabilities[i, predicted[i]]))
        for i in worst
    ]


def save_plot(path: Path, result: TrainResult, dataset: Dataset) -> None:
    """Draw the run as a PNG file.

    Raises:
        Error: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    require_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 (optional; not pyplot, which may want a screen)

    mistakes = worst_mistakes(
        result.trainer.predict(dataset.test_images), dataset.test_labels, ROWS * COLUMNS
    )
    figure = Figure(figsize=(11, 8), layout="constrained")
    curves, pictures = figure.subfigures(2, 1, height_ratios=(1, 1.1), squeeze=False).flat
    loss_axes, accuracy_axes = curves.subplots(1, 2)
    _draw_loss(loss_axes, result)
    _draw_accuracy(accuracy_axes, result)
    pictures.suptitle(
        "The worst mistakes: what the network read, and what they are"
        if mistakes
        else f"No mistakes in {len(dataset.test_labels)} test images"
    )
    for axes in pictures.subplots(ROWS, COLUMNS).flat:
        axes.axis("off")
    for axes, mistake in zip(pictures.axes, mistakes, strict=False):
        axes.imshow(dataset.test_images[mistake.image].reshape(28, 28), cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(f"{mistake.predicted} ({mistake.confidence:.0%}), is {mistake.label}", fontsize=8)
    figure.savefig(path, format="png", dpi=110)


def _draw_loss(axes: "Axes", result: TrainResult) -> None:
    steps = np.arange(result.steps - len(result.losses), result.steps) + 1
    axes.plot(steps, result.losses, color="lightsteelblue", linewidth=0.7, label="each batch")
    window = max(1, len(steps) // 50)
    if window > 1:
        smooth = np.convolve(result.losses, np.full(window, 1 / window), mode="valid")
        axes.plot(steps[window - 1 :], smooth, color="navy", label=f"mean of {window} batches")
    axes.set(title=f"{result.dataset} on {result.device}", xlabel="step", ylabel="training loss")
    axes.set_ylim(bottom=0)
    axes.legend()


def _draw_accuracy(axes: "Axes", result: TrainResult) -> None:
    steps = [event.step for event in result.evaluations]
    percents = [100 * event.accuracy for event in result.evaluations]
    axes.plot(steps, percents, "o-", color="darkgreen")
    axes.set(title=f"Test accuracy: {percents[-1]:.2f}%", xlabel="step", ylabel="percent")
