"""The ONNX file predicts as the Trainer does, and is written only if it does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpsmnist
from support import checks
from support.checks import ROUNDING

pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from mpsmnist.interop import onnx as interop  # noqa: E402
from mpsmnist.interop.onnx import export  # noqa: E402


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.onnx"


def open_session(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_it_predicts_what_the_trainer_does(trained: Any, pictures: Any, path: Path) -> None:
    export(path, trained)
    session = open_session(path)
    expected = trained.predict(pictures)
    probabilities, logits = session.run(None, {"images": pictures})
    assert np.abs(probabilities - expected).max() < ROUNDING
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert np.abs(powers / powers.sum(axis=1, keepdims=True) - expected).max() < ROUNDING
    assert os.listdir(path.parent) == [path.name]


def test_digits_are_read_as_by_the_trainer(
    digits: Any, path: Path, check_digits: Callable[[Any], None]
) -> None:
    export(path, digits[0])
    session = open_session(path)
    check_digits(lambda images: session.run(["probabilities"], {"images": images})[0])


def test_bytes_are_scaled_as_here(trained: Any, pictures: Any, path: Path) -> None:
    export(path, trained, pixels="uint8")
    levels = (pictures * 255).astype(np.uint8)
    [found] = open_session(path).run(["probabilities"], {"images": levels})
    assert np.abs(found - trained.predict(levels)).max() < ROUNDING


@pytest.mark.parametrize("pixels", ["float32", "uint8"])
def test_names_and_shapes(trained: Any, path: Path, pixels: Any) -> None:
    export(path, trained, pixels=pixels)
    session = open_session(path)
    [images] = session.get_inputs()
    element = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}[pixels]
    assert (images.name, images.type, images.shape) == ("images", element, ["n", 1, 28, 28])
    outputs = [(each.name, each.type, each.shape) for each in session.get_outputs()]
    assert outputs == [(name, "tensor(float)", ["n", 3]) for name in ("probabilities", "logits")]


def test_a_file_that_exists_is_replaced_as_a_whole(trained: Any, path: Path) -> None:
    path.write_bytes(b"something else")
    path.chmod(0o640)
    export(path, trained)
    open_session(path)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_runtime_that_predicts_something_else_is_found(
    trained: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here because the input of fc0 is flattened in another order."""
    path.write_bytes(b"as it was")
    monkeypatch.setattr(interop, "to_channels_first", spoilt(interop.to_channels_first))
    words = r"^onnxruntime .* gives probabilities that are 0\.\d+ from the Trainer's, expected less than"
    with pytest.raises(mpsmnist.Error, match=words):
        export(path, trained)
    assert path.read_bytes() == b"as it was"
    assert os.listdir(path.parent) == [path.name]


def spoilt(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def wrongly(state: Any) -> Any:
        return convert(state) | {"fc0.weight": np.ascontiguousarray(state["fc0.weight"].T)}

    return wrongly


def test_what_makes_no_sense(trained: Any, path: Path) -> None:
    with pytest.raises(TypeError, match=r"^trainer: a dict; expected a Trainer$"):
        export(path, trained.state_dict())
    with pytest.raises(ValueError, match=r'^pixels: \'float16\'; expected "float32" or "uint8"$'):
        export(path, trained, pixels="float16")  # type: ignore[arg-type]
    with pytest.raises(mpsmnist.Error, match=r"network\.onnx' cannot be written: No such file or directory$"):
        export(path.parent / "absent" / path.name, trained)
    assert os.listdir(path.parent) == []


def test_the_trainer_stays_as_it_is(trained: Any, path: Path) -> None:
    before = checks.flat_state(trained)
    export(path, trained)
    checks.assert_same_bits(checks.flat_state(trained), before)
