"""The progress bar of train(progress=True): which one, what it shows, and that it never costs the run."""

from __future__ import annotations

import io
import sys
import types
import warnings
from typing import Any

import pytest

from mpsmnist.train import DivergedError, EvaluationEvent, StartEvent, StepEvent, TrainConfig, train
from mpsmnist.training.progress import ProgressBar
from support.datasets import small_dataset
from support.training import SMALL


class FakeBar:
    """Stands for tqdm.auto's tqdm, and remembers what it was told."""

    made: list[FakeBar]

    def __init__(self, **options: Any) -> None:
        self.options, self.steps, self.closed, self.shown = options, options["initial"], False, ""
        self.made.append(self)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self.shown = text

    def update(self) -> None:
        self.steps += 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[FakeBar]:
    FakeBar.made = []
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=FakeBar))
    return FakeBar.made


def test_the_bar_is_tqdms_choice_for_the_place_and_shows_the_run(bars: list[FakeBar]) -> None:
    result = train(TrainConfig(**SMALL, epochs=1), dataset=small_dataset(), progress=True)
    [bar] = bars
    assert (bar.options["total"], bar.options["initial"], bar.options["leave"]) == (25, 0, True)
    assert (bar.steps, bar.closed) == (25, True)
    assert bar.shown == (
        f"loss {result.loss:.4f}, training accuracy {result.train_accuracy:.2%}, "
        f"test accuracy {result.test_accuracy:.2%}"
    )


def in_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it so by the test that tqdm itself makes."""
    for name in ("tqdm.auto", "tqdm.autonotebook"):  # to be imported again, and forgotten after the test
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
        monkeypatch.delitem(sys.modules, name)
    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


def test_a_notebook_gets_its_widget(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_kernel(monkeypatch)
    drawn: list[dict[str, Any]] = []

    class Widget(FakeBar):
        def __init__(self, **options: Any) -> None:
            drawn.append(options)
            super().__init__(**options)

    FakeBar.made = []
    notebook = types.SimpleNamespace(tqdm=Widget, trange=None, IProgress=object, WARN_NOIPYW="")
    monkeypatch.setitem(sys.modules, "tqdm.notebook", notebook)
    train(TrainConfig(**SMALL, steps=3), dataset=small_dataset(), progress=True)
    assert [options["total"] for options in drawn] == [3]


def test_a_notebook_without_widgets_gets_a_line_and_no_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    in_a_kernel(monkeypatch)
    notebook = types.SimpleNamespace(tqdm=None, trange=None, IProgress=None, WARN_NOIPYW="no IProgress")
    monkeypatch.setitem(sys.modules, "tqdm.notebook", notebook)
    warnings.simplefilter("always")  # an error would be caught by tqdm
    train(TrainConfig(**SMALL, steps=3), dataset=small_dataset(), progress=True)
    assert " 3/3 " in capsys.readouterr().err
    assert [str(warning.message) for warning in recwarn] == []


def test_a_plain_terminal_gets_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    train(TrainConfig(**SMALL, steps=3), dataset=small_dataset(), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "100%|" in err
    assert " 3/3 " in err
    assert "test accuracy " in err.splitlines()[-1]


def test_no_bar_by_default(capsys: pytest.CaptureFixture[str], bars: list[FakeBar]) -> None:
    train(TrainConfig(**SMALL, steps=3), dataset=small_dataset())
    assert (bars, capsys.readouterr()) == ([], ("", ""))


def test_callbacks_are_called_too(bars: list[FakeBar]) -> None:
    events: list[Any] = []
    train(
        TrainConfig(**SMALL, steps=2),
        dataset=small_dataset(),
        on_step=events.append,
        on_event=events.append,
        progress=True,
    )
    assert [type(event) for event in events] == [StartEvent, StepEvent, StepEvent, EvaluationEvent]


def test_the_bar_is_closed_when_the_run_fails(bars: list[FakeBar]) -> None:
    with pytest.raises(DivergedError):
        train(TrainConfig(**SMALL, learning_rate=1e30, steps=50), dataset=small_dataset(), progress=True)
    assert bars[0].closed


class Broken(io.StringIO):
    """A stderr that is full, or whose reader is gone, after so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.left = writes

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(28, "No space left on device")
        return super().write(text)


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_stderr_that_fails_does_not_cost_the_run(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    stderr = Broken(writes)
    monkeypatch.setattr(sys, "stderr", stderr)
    assert train(TrainConfig(**SMALL, steps=5), dataset=small_dataset(), progress=True).steps == 5
    assert stderr.left < 0


def test_a_process_may_have_no_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw."""
    monkeypatch.setattr(sys, "stderr", None)
    assert train(TrainConfig(**SMALL, steps=2), dataset=small_dataset(), progress=True).steps == 2


def test_a_bar_that_never_began_can_be_closed() -> None:
    with ProgressBar():
        pass
