"""The figure of a run, as notebooks get it."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from mpsmnist.train import EvaluationEvent, TrainConfig, TrainResult, train
from mpsmnist.training.mistakes import Mistake, find_mistakes
from support.datasets import small_dataset, write_mnist

if importlib.util.find_spec("matplotlib") is None:
    pytest.skip("matplotlib is not installed", allow_module_level=True)

from matplotlib.image import AxesImage

import mpsmnist.plot
from mpsmnist.plot import figure
from support.figures import assert_readable, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DATA = small_dataset()


class Fixed:
    """In a trainer's place: it gives the same class to every image, or the right one."""

    def __init__(self, classes: Any, num_classes: int = 10) -> None:
        self._probabilities = 0.9 * np.eye(num_classes, dtype=np.float32)[classes] + 0.1 / num_classes

    def predict(self, images: Any) -> Any:
        return self._probabilities[: len(images)]


WRONG = Fixed((DATA.test_labels + 1) % 10)
RIGHT = Fixed(DATA.test_labels)


def result(losses: Any, *evaluations: Any, trainer: Any = WRONG, **fields: Any) -> TrainResult:
    """A run of so many steps that ended now."""
    values: dict[str, Any] = {
        "steps": len(losses), "loss": None, "test_accuracy": None, "test_loss": None, "device": "cpu",
        "dataset": "discs", "seed": 0, "train_seconds": 1.5, "steps_per_second": None, "interrupted": False,
        "target_reached": None,
    }  # fmt: skip
    arrays = {"losses": np.asarray(losses, np.float32), "evaluations": list(evaluations), "trainer": trainer}
    return TrainResult(**(values | arrays | fields))


def evaluation(step: int, accuracy: float, loss: float = 0.5) -> EvaluationEvent:
    known = {"step": step, "accuracy": accuracy, "loss": loss, "train_seconds": 1.0}
    others = {name: None for name in EvaluationEvent._fields if name not in known}
    return EvaluationEvent(**known | others)


def parts(drawn: Figure) -> tuple[Axes, Axes, list[Axes]]:
    """The losses, the accuracies and the pictures."""
    losses, accuracies, *pictures = drawn.axes
    return losses, accuracies, pictures


def curves(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    lines = {str(line.get_label()): line for line in axes.lines}
    return {label: (list(line.get_xdata()), list(line.get_ydata())) for label, line in lines.items()}


def test_worst_mistakes_come_first() -> None:
    probabilities = np.array(
        [[0.9, 0.1, 0.0], [0.3, 0.6, 0.1], [0.05, 0.05, 0.9], [0.4, 0.35, 0.25], [0.1, 0.2, 0.7]], np.float32
    )
    labels = np.array([0, 2, 0, 1, 2], np.uint8)
    expected = [(2, 0, 2, 0.9), (1, 2, 1, 0.6), (3, 1, 0, 0.4)]
    found = find_mistakes(probabilities, labels)
    assert [mistake[:3] for mistake in found] == [mistake[:3] for mistake in expected]
    assert [mistake.confidence for mistake in found] == pytest.approx([mistake[3] for mistake in expected])
    assert find_mistakes(probabilities[[0, 4]], labels[[0, 4]]) == []
    assert isinstance(found[0], Mistake)


def test_a_run_is_drawn() -> None:
    run = train(TrainConfig(device="cpu", batch_size=2, steps=120, eval_every=50), dataset=DATA)
    drawn = figure(run, DATA)
    losses, accuracies, pictures = parts(drawn)
    steps, values = curves(losses)["each batch"]
    assert steps == list(range(1, 121))
    np.testing.assert_array_equal(values, run.losses)
    steps, values = curves(losses)["mean of the last 4 batches"]
    assert steps == list(range(4, 121))
    means = [run.losses[step - 4 : step].mean(dtype=np.float64) for step in steps]
    np.testing.assert_allclose(values, means, rtol=1e-9)
    assert curves(losses)["test"] == ([50, 100, 120], [event.loss for event in run.evaluations])
    (label,) = curves(accuracies)
    assert label == f"test {run.test_accuracy:.2%}"
    assert curves(accuracies)[label][1] == [100 * event.accuracy for event in run.evaluations]
    mistakes = find_mistakes(run.trainer.predict(DATA.test_images), DATA.test_labels)
    assert len([axes for axes in pictures if axes.images]) == min(15, len(mistakes))
    assert_readable(drawn)


@pytest.mark.parametrize("accuracies", [[], [0.0], [0.91], [1.0], [0.1, 0.9, 0.985], [0.99] * 400])
def test_accuracies_end_at_100_percent(accuracies: list[float]) -> None:
    steps = np.linspace(400 - len(accuracies) + 1, 400, len(accuracies)).astype(int).tolist()
    run = result(np.ones(400), *map(evaluation, steps, accuracies))
    drawn = figure(run, DATA)
    _, axes, _ = parts(drawn)
    low, high = axes.get_ylim()
    assert high == 100
    assert 0 <= low <= 100 * min(accuracies, default=0)
    assert low < high
    assert_readable(drawn)
    assert [text.get_text() for text in axes.texts] == ([] if accuracies else ["no accuracy was measured"])
    assert {tick.get_text()[-1] for tick in axes.get_yticklabels()} == {"%"}


def test_evaluations_on_other_sets_get_curves_of_their_own() -> None:
    class Wider(NamedTuple):
        step: int
        loss: float
        accuracy: float
        train_seconds: float
        train_accuracy: float | None
        validation_accuracy: float | None
        validation_loss: float | None
        train_loss: float

    steps = [100_000, 200_000]
    events = [
        Wider(steps[0], 0.5, 0.9, 1, 0.95, None, 0.6, 0.2),
        Wider(steps[1], 0.4, 0.95, 2, 0.99, None, 0.5, 0.1),
    ]
    drawn = figure(result(np.full(steps[1], 0.5), *events), DATA)
    losses, accuracies, _ = parts(drawn)
    assert curves(accuracies) == {"test 95.00%": (steps, [90, 95]), "training 99.00%": (steps, [95, 99])}
    assert curves(losses)["validation"] == (steps, [0.6, 0.5])
    assert curves(losses)["training"] == (steps, [0.2, 0.1])
    colours = {line.get_color() for line in accuracies.lines}
    assert len(colours) == 2
    assert_readable(drawn)
    assert losses.bbox.width > 0.38 * drawn.bbox.width  # legends leave room for the data
    assert accuracies.bbox.width > 0.38 * drawn.bbox.width


@pytest.mark.parametrize("steps", [0, 1, 7, 49, 50, 1999, 2001])
def test_runs_of_any_length_are_drawn(steps: int) -> None:
    drawn = figure(result(2.3 * 0.99 ** np.arange(steps), evaluation(steps, 0.5)), DATA)
    assert_readable(drawn)
    losses, _, _ = parts(drawn)
    assert losses.get_xlim() == (min(0, steps - 1), steps)


def test_a_very_long_run_keeps_its_extremes_and_is_soon_drawn() -> None:
    steps = 300_000
    noise = np.random.default_rng(0).gamma(1.0, 1.0, steps)
    losses = (0.05 + 2.3 * np.exp(-np.arange(steps) / 30_000)) * noise
    losses[123_456] = 99.0
    drawn = figure(result(losses, *(evaluation(step, 0.9) for step in range(10, steps + 1, 10))), DATA)
    axes, accuracies, _ = parts(drawn)
    points, values = curves(axes)["each batch"]
    assert len(points) <= 2002
    assert (points[int(np.argmax(values))], max(values)) == (123_457, 99)
    assert min(values) == losses.astype(np.float32).min()
    assert len(curves(axes)["mean of the last 12,000 batches"][0]) <= 2002
    assert {line.get_marker() for line in [*axes.lines, *accuracies.lines]} <= {"", "None"}
    assert axes.get_yscale() == "log"
    assert_readable(drawn)


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([2.31, 2.29] * 50, "linear"), ([30.0] + [0.3] * 99, "log"), ([0.0] * 100, "linear")],
)
def test_losses_that_span_much_are_on_a_log_scale(losses: list[float], scale: str) -> None:
    drawn = figure(result(losses, evaluation(100, 0.5, losses[-1])), DATA)
    axes, _, _ = parts(drawn)
    assert axes.get_yscale() == scale
    assert axes.get_ylabel() == ("loss, log scale" if scale == "log" else "loss")
    drawn.draw_without_rendering()
    low, high = axes.get_ylim()
    assert len([tick for tick in axes.get_yticks() if low <= tick <= high]) > 1


def test_a_resumed_run_begins_where_the_other_ended() -> None:
    drawn = figure(result(np.ones(100), evaluation(400, 0.5), steps=400), DATA)
    losses, accuracies, _ = parts(drawn)
    assert curves(losses)["each batch"][0] == list(range(301, 401))
    assert losses.get_xlim() == accuracies.get_xlim() == (300, 400)
    second_lines = [text.splitlines()[-1] for text, _ in written(drawn)]
    assert "resumed after step 300, trained on cpu for 1.5 seconds" in second_lines


def test_an_interrupted_run_says_so() -> None:
    drawn = figure(result(np.ones(40), interrupted=True, trainer=RIGHT), DATA)
    (headline,) = [text for text, _ in written(drawn) if "interrupted" in text]
    assert (
        headline.splitlines()[0]
        == "discs: 100.00% of 20 test images right (no mistakes), interrupted after 40 steps"
    )


def test_a_run_without_mistakes_shows_none() -> None:
    perfect = figure(result(np.ones(9), evaluation(9, 1), trainer=RIGHT), DATA)
    faulty = figure(result(np.ones(9), evaluation(9, 1), trainer=WRONG), DATA)
    assert perfect.findobj(AxesImage) == []
    assert len(faulty.findobj(AxesImage)) == 15
    assert perfect.get_figheight() < faulty.get_figheight()
    assert any("(no mistakes), after 9 steps" in text for text, _ in written(perfect))
    assert any("(20 mistakes), after 9 steps" in text for text, _ in written(faulty))


@pytest.mark.parametrize("num_classes", [2, 47])
def test_mistakes_have_titles_that_a_person_reads(num_classes: int) -> None:
    data = small_dataset(num_classes=num_classes)
    wrong = Fixed((data.test_labels + 1) % num_classes, num_classes)
    _, _, pictures = parts(figure(result([1.0], trainer=wrong), data))
    confidence = f"{0.9 + 0.1 / num_classes:.0%}"
    mistake = find_mistakes(wrong.predict(data.test_images), data.test_labels)[0]
    assert pictures[0].get_title() == f"predicted {mistake.predicted} ({confidence}),\nlabel {mistake.label}"


def test_classes_have_their_names() -> None:
    names = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    data = dataclasses.replace(DATA, classes=names)
    drawn = figure(result([1.0]), data)
    titles = {axes.get_title() for axes in parts(drawn)[2]}
    assert titles == {
        f"predicted {names[(label + 1) % 10]} (91%),\nlabel {names[label]}" for label in DATA.test_labels[:15]
    }
    assert_readable(drawn)


def test_names_are_neither_formulas_nor_too_long() -> None:
    names = tuple(f"${number}\\frac{{$ and much more" for number in range(10))
    data = dataclasses.replace(DATA, classes=names)
    drawn = figure(result([1.0], dataset="$x^{$ 100% \udcff\n\x1b[31m" + 200 * "x"), data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_readable(drawn)
    assert any(text.startswith("$x^{$ 100% \\udcff\\n\\x1b[31mxxx") for text, _ in written(drawn))
    labels = {axes.get_title().split("label ")[1] for axes in parts(drawn)[2]}
    assert labels == {f"${label}\\frac{{$ a…" for label in DATA.test_labels[:15]}


def test_pyplot_is_not_touched_and_notebooks_show_the_figure() -> None:
    drawn = figure(result(np.ones(9), evaluation(9, 0.5)), DATA)
    picture = drawn._repr_png_()  # what IPython calls
    assert picture.startswith(b"\x89PNG")
    code = (
        "import sys, matplotlib\n"
        "rc = matplotlib.rcParams\n"
        "settings = lambda: {k: rc[k] for k in rc if k != 'backend'}\n"  # asking for it picks one
        "before = settings()\n"
        "from mpsmnist.plot import figure\n"
        "assert settings() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_matplotlib_the_import_says_how_to_get_it() -> None:
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "try: import mpsmnist.plot\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("a plot needs matplotlib, which cannot be imported")
    assert done.stdout.endswith("pip install 'mpsmnist[plot]'\n")


def test_the_modules_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPSMNIST_DATA_DIR", str(write_mnist(tmp_path)))
    monkeypatch.chdir(tmp_path)
    _, _, example = (mpsmnist.plot.__doc__ or "").partition("\n\n")
    exec(textwrap.dedent(example), {})
    assert (tmp_path / "run.pdf").read_bytes().startswith(b"%PDF")
