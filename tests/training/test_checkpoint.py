"""Checkpoints: exact, checked, and never half written."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from mpsmnist import CheckpointError, Trainer
from mpsmnist.checkpoint import FORMAT, Checkpoint, fingerprint, load, parameter_shapes, save
from mpsmnist.network import has_momentum_buffers
from mpsmnist.training.config import TrainConfig
from support import saver
from support.checks import assert_same_state

State = dict[str, NDArray[Any]]
Run = dict[str, Any]


def make(momentum: float = 0.0, num_classes: int = 10, **changes: Any) -> Checkpoint:
    """A checkpoint after step 3 of 9, with weights that differ within and between the tensors."""
    shapes = parameter_shapes(num_classes)
    if momentum > 0:
        shapes |= {f"momentum.{name}": shape for name, shape in shapes.items()}
    state = {name: _ramp(shape, start) for start, (name, shape) in enumerate(shapes.items())}
    fields: dict[str, Any] = {
        "state": state,
        "options": TrainConfig(momentum=momentum).saved_options(),
        "step": 3,
        "total_steps": 9,
        "num_classes": num_classes,
        "dataset": "discs",
        "fingerprint": "0123",
    }
    return Checkpoint(**fields | changes)


def _ramp(shape: tuple[int, ...], start: int) -> NDArray[np.float32]:
    return (np.arange(math.prod(shape), dtype=np.float32) + np.float32(start / 16)).reshape(shape)


def assert_same(a: Checkpoint, b: Checkpoint) -> None:
    for field in dataclasses.fields(Checkpoint):
        if field.name != "state":
            assert getattr(a, field.name) == getattr(b, field.name)
    assert_same_state(a.state, b.state)


@pytest.mark.parametrize("momentum", [1e-46, 1.17e-38, 1.18e-38])
def test_momentum_buffers_are_expected_where_the_trainer_has_them(tmp_path: Path, momentum: float) -> None:
    trainer = Trainer(device="cpu", num_classes=3, momentum=momentum)
    assert has_momentum_buffers(momentum) == (trainer.momentum > 0)
    checkpoint = dataclasses.replace(make(momentum, num_classes=3), state=trainer.state_dict())
    save(tmp_path / "run", checkpoint)
    assert load(tmp_path / "run").state.keys() == checkpoint.state.keys()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_shapes_are_the_trainers(momentum: float) -> None:
    trainer = Trainer(device="cpu", num_classes=3, momentum=momentum)
    shapes = parameter_shapes(3)
    if momentum > 0:
        shapes |= {f"momentum.{name}": shape for name, shape in shapes.items()}
    assert {name: tensor.shape for name, tensor in trainer.state_dict().items()} == shapes


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_what_is_saved_is_loaded(tmp_path: Path, momentum: float, num_classes: int) -> None:
    saved = make(momentum, num_classes)
    save(tmp_path / "run", saved)
    assert_same(load(tmp_path / "run"), saved)
    assert os.listdir(tmp_path) == ["run"]


def test_the_state_is_loaded_in_the_trainers_order(tmp_path: Path) -> None:
    """The file has its tensors in another order."""
    trainer = Trainer(device="cpu", momentum=0.9)
    save(tmp_path / "run", make(0.9))
    assert list(load(tmp_path / "run").state) == list(trainer.state_dict())


def test_a_save_replaces_the_file_before(tmp_path: Path) -> None:
    save(tmp_path / "run", make(0.9))
    save(tmp_path / "run", make())
    assert_same(load(tmp_path / "run"), make())


def test_a_killed_runs_leftover_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".mpsmnist.0123456789abcdef.tmp").write_bytes(b"half a checkpoint")
    save(tmp_path / "run", make())
    assert_same(load(tmp_path / "run"), make())
    assert os.listdir(tmp_path) == ["run"]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "real" / "target")
    save(tmp_path / "run", make())
    assert (tmp_path / "run").is_symlink()
    assert_same(load(tmp_path / "real" / "target"), make())


@pytest.mark.parametrize("call", ["os.replace", "os.fsync"])
def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    save(tmp_path / "run", make())

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(call, fail)
    with pytest.raises(CheckpointError, match="run' cannot be written: No space left on device"):
        save(tmp_path / "run", make(0.9))
    assert_same(load(tmp_path / "run"), make())
    assert os.listdir(tmp_path) == ["run"]


def test_a_save_without_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be written: No such file or directory"):
        save(tmp_path / "absent" / "run", make())


def test_values_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    bad = make()
    bad.state["fc1.bias"][3] = np.nan
    with pytest.raises(CheckpointError, match=r"fc1\.bias that are not finite"):
        save(tmp_path / "run", bad)
    assert os.listdir(tmp_path) == []


def change_state(change: Callable[[State], object]) -> Callable[[State, Run], None]:
    def apply(state: State, _run: Run) -> None:
        change(state)

    return apply


def change_run(**changes: Any) -> Callable[[State, Run], None]:
    def apply(_state: State, run: Run) -> None:
        run.update(changes)

    return apply


def change_options(**changes: Any) -> Callable[[State, Run], None]:
    def apply(_state: State, run: Run) -> None:
        run["options"].update(changes)

    return apply


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change_state(lambda s: s.pop("conv1.bias")), r"lacks the tensors conv1\.bias"),
        (change_state(lambda s: s.update(extra=np.zeros(1, np.float32))), "do not belong there: extra"),
        (
            change_state(lambda s: s.update({"momentum.fc1.bias": np.zeros(10, np.float32)})),
            r"do not belong there: momentum\.fc1\.bias",
        ),
        (
            change_state(lambda s: s.update({"fc1.bias": np.zeros(9, np.float32)})),
            r"fc1\.bias of shape \(9,\), expected \(10,\)",
        ),
        (change_state(lambda s: s.update({"fc1.bias": np.zeros(10)})), r"fc1\.bias as F64, expected F32"),
        (
            change_state(lambda s: s.update({"fc1.bias": np.full(10, np.inf, np.float32)})),
            r"values in fc1\.bias that are not finite",
        ),
        (change_run(step=10), "is at step 10 of 9"),
        (change_run(step=-1), "is at step -1 of 9"),
        (change_run(step=True), "has step True"),
        (change_run(step="3"), "has step '3'"),
        (change_run(num_classes=0), "has num_classes 0"),
        (change_run(num_classes=1), "has num_classes 1"),
        (change_run(num_classes=10**30), "has num_classes 1000"),
        (change_run(num_classes=9), r"fc1\.weight of shape \(1024, 10\), expected \(1024, 9\)"),
        (change_run(dataset=None), "has dataset None"),
        (change_run(options=[]), r"has options \[\]"),
        (change_run(extra=1), "metadata that is not an object of options, step"),
        (change_options(momentum=0.9), r"lacks the tensors momentum\.conv0\.weight"),
        (change_options(momentum=None), "bad options in its metadata: momentum is None"),
        (change_options(momentum=float("nan")), "bad options in its metadata: momentum is nan"),
        (change_options(extra=1), "has options that are not batch_size"),
    ],
)
def test_a_spoilt_checkpoint_is_refused(
    tmp_path: Path, spoil: Callable[[State, Run], None], words: str
) -> None:
    good = make()
    run = {name: value for name, value in vars(good).items() if name != "state"}
    spoil(good.state, run)
    save_file(good.state, tmp_path / "run", {"format": FORMAT, "run": json.dumps(run)})
    with pytest.raises(CheckpointError, match=words) as error:
        load(tmp_path / "run")
    assert str(tmp_path / "run") in str(error.value)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "has format None, expected 'mpsmnist checkpoint 2'"),
        ({"format": "mpsmnist checkpoint 3"}, "has format 'mpsmnist checkpoint 3'"),
        ({"format": FORMAT}, "no readable metadata entry 'run'"),
        ({"format": FORMAT, "run": "{"}, "no readable metadata entry 'run'"),
        ({"format": FORMAT, "run": "3"}, "metadata that is not an object"),
    ],
)
def test_other_metadata_is_refused(tmp_path: Path, metadata: dict[str, str] | None, words: str) -> None:
    save_file(make().state, tmp_path / "run", metadata)
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path / "run")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent' does not exist"):
        load(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize("length", [0, 7, 8, 100, 1000, -1])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, length: int) -> None:
    save(tmp_path / "run", make())
    data = (tmp_path / "run").read_bytes()
    (tmp_path / "run").write_bytes(data[:length])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load(tmp_path / "run")


def test_no_safetensors_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"\x89PNG" + bytes(range(256)))
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load(tmp_path / "run")


def test_others_can_read_the_format(tmp_path: Path) -> None:
    """The metadata of a file, as any safetensors reader shows it."""
    save(tmp_path / "run", make())
    with safe_open(tmp_path / "run", framework="numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == "mpsmnist checkpoint 2"
    run = json.loads(metadata["run"])
    assert (run["step"], run["total_steps"], run["options"]["batch_size"]) == (3, 9, 16)


def test_a_checkpoint_of_the_previous_format_is_loaded(tmp_path: Path) -> None:
    """It has one entry more, which always was step * batch_size."""
    good = make(0.9)
    run = {name: value for name, value in vars(good).items() if name != "state"} | {"sampler_position": 48}
    metadata = {"format": "mpsmnist checkpoint 1", "run": json.dumps(run)}
    save_file(good.state, tmp_path / "run", metadata)
    assert_same(load(tmp_path / "run"), good)


def test_fingerprints_tell_training_sets_apart() -> None:
    images, labels = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8)
    other = images.copy()
    other[1, 27, 27] = 1
    prints = {
        fingerprint(images, labels),
        fingerprint(other, labels),
        fingerprint(images, labels + np.uint8(1)),
        fingerprint(images.reshape(2, 784), labels),
        fingerprint(images[:1], labels[:1]),
    }
    assert len(prints) == 5
    assert fingerprint(np.asfortranarray(images), labels) == fingerprint(images, labels)


def test_kills_while_saving_never_leave_an_unreadable_checkpoint(tmp_path: Path) -> None:
    program = [sys.executable, saver.__file__, str(tmp_path), "50"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["torn"] > 0, "no kill came in the middle of a save"
    assert result["steps"] == sorted(result["steps"])
    assert result["steps"][-1] > 0
    assert result["files"] == ["run.safetensors"]


def test_processes_that_save_at_once_do_not_mix(tmp_path: Path) -> None:
    """Three writers of one path: what is read at any time is the whole checkpoint of one writer."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from saver import *\n"
        "for step in range(5): save(sys.argv[2], checkpoint_of(5 * int(sys.argv[3]) + step))"
    )
    path = tmp_path / "run"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(Path(saver.__file__).parent), str(path), str(writer)]
        )
        for writer in range(3)
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            read = load(path)
            assert all((tensor == read.step).all() for tensor in read.state.values())
            seen.add(read.step)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(seen) > 1
    assert os.listdir(tmp_path) == ["run"]
