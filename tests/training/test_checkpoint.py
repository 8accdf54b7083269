"""Checkpoints: exact, checked, and never half written."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save as serialize
from safetensors.numpy import save_file

from mpsmnist import CheckpointError, Trainer
from mpsmnist.checkpoint import FORMAT, Checkpoint, fingerprint, load, parameter_shapes, save
from mpsmnist.data.sources import number_names
from mpsmnist.network import has_momentum_buffers
from mpsmnist.training.checkpoint import _RUN_FIELDS
from mpsmnist.training.config import TrainConfig
from support import saver
from support.checks import assert_same_state
from support.devices import null_device

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
        "classes": number_names(num_classes),
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


def test_classes_have_their_names(tmp_path: Path) -> None:
    saved = make(num_classes=3, classes=("A", "お", "no \udcff UTF-8"))
    save(tmp_path / "run", saved)
    loaded = load(tmp_path / "run")
    assert_same(loaded, saved)
    assert loaded.num_classes == 3


@pytest.mark.parametrize("num_classes", [2, 10, 26])
def test_an_older_checkpoint_has_numbers_for_names(tmp_path: Path, num_classes: int) -> None:
    old = make(num_classes=num_classes)
    run = {name: getattr(old, name) for name in _RUN_FIELDS}
    save_file(old.state, tmp_path / "run", {"format": FORMAT, "run": json.dumps(run)})
    assert load(tmp_path / "run").classes == tuple(str(number) for number in range(num_classes))


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ("[", "no readable metadata entry 'classes'"),
        ("[" * 100_000, "no readable metadata entry 'classes'"),
        ('{"0": "A", "1": "B"}', "has classes {'0': 'A', '1': 'B'}, expected 2 names"),
        ('["A"]', r"has classes \['A'\], expected 2 names"),
        ('["A", "B", "C"]', r"has classes \['A', 'B', 'C'\], expected 2 names"),
        ('["A", 1]', r"has classes \['A', 1\], expected 2 names"),
        ('["A", ""]', r"has classes \['A', ''\], expected 2 names"),
        ("null", "has classes None, expected 2 names"),
    ],
)
def test_spoilt_names_of_classes_are_refused(tmp_path: Path, classes: str, words: str) -> None:
    old = make(num_classes=2)
    run = {name: getattr(old, name) for name in _RUN_FIELDS}
    metadata = {"format": FORMAT, "run": json.dumps(run), "classes": classes}
    save_file(old.state, tmp_path / "run", metadata)
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path / "run")


def test_names_that_could_not_be_loaded_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has classes \['A', ''\], expected 2 names"):
        save(tmp_path / "run", make(num_classes=2, classes=("A", "")))
    assert os.listdir(tmp_path) == []


def test_a_momentum_that_is_zero_in_float32_has_no_buffers(tmp_path: Path) -> None:
    saved = make(options=TrainConfig(momentum=1e-46).saved_options())
    save(tmp_path / "run", saved)
    assert_same(load(tmp_path / "run"), saved)


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
    leftover = tmp_path / ".mpsmnist.0123456789abcdef.tmp"
    leftover.write_bytes(b"half a checkpoint")
    os.utime(leftover, (0, 0))
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


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda a: np.ascontiguousarray(a[::-1])[::-1],
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        lambda a: a.astype(">f4"),
        lambda a: a.astype(np.float64),
        lambda a: np.asfortranarray(a.astype(">f8")),
    ],
    ids=["transposed", "backwards", "strided", "big-endian", "float64", "all of it"],
)
def test_arrays_of_any_memory_order_are_saved_as_what_they_show(
    tmp_path: Path, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    good = make(0.9)
    changed = {name: change(tensor) for name, tensor in good.state.items()}
    save(tmp_path / "run", dataclasses.replace(good, state=changed))
    assert_same(load(tmp_path / "run"), good)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.astype(np.int32), "gets 'fc1.bias' as int32, expected an array of float32"),
        (lambda a: a.astype(np.complex64), "gets 'fc1.bias' as complex64"),
        (lambda a: a.tolist(), "gets 'fc1.bias' as list"),
        (lambda a: a.astype(np.float64) * 1e300, r"values in fc1\.bias that are not finite"),
    ],
)
def test_arrays_that_are_no_float32_numbers_are_not_saved(
    tmp_path: Path, change: Callable[[NDArray[Any]], Any], words: str
) -> None:
    bad = make()
    bad.state["fc1.bias"] = change(bad.state["fc1.bias"])
    with pytest.raises(CheckpointError, match=words):
        save(tmp_path / "run", bad)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": 10}, "is at step 10 of 9"),
        ({"step": np.int64(3)}, r"has step .*3.* in its metadata"),
        ({"dataset": None}, "has dataset None"),
        ({"options": {}}, "has options that are not batch_size"),
    ],
)
def test_what_load_would_refuse_is_not_saved(tmp_path: Path, changes: Run, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        save(tmp_path / "run", make(**changes))
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
        (
            change_state(lambda s: s.update(extra=np.zeros(1, np.float32))),
            r"do not belong there: \['extra'\]",
        ),
        (
            change_state(lambda s: s.update({"momentum.fc1.bias": np.zeros(10, np.float32)})),
            r"do not belong there: \['momentum\.fc1\.bias'\]",
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
        (change_run(total_steps=10**400), "steps is 1000"),
        (change_run(step=0, total_steps=0), "steps is 0, expected a whole number from 1"),
        (change_run(extra=1), "metadata that is not an object of options, step"),
        (change_options(momentum=0.9), r"lacks the tensors momentum\.conv0\.weight"),
        (change_options(momentum=None), "bad options in its metadata: momentum is None"),
        (change_options(momentum=float("nan")), "bad options in its metadata: momentum is nan"),
        (change_options(momentum=10**400), "bad options in its metadata: momentum is 1000"),
        (change_options(learning_rate=-(10**400)), "bad options in its metadata: learning_rate is -1000"),
        (change_options(sampling=[[]]), r"bad options in its metadata: sampling is \[\[\]\]"),
        (change_options(device="x" * 100_000), "bad options in its metadata: device is 'xxx"),
        (change_run(dataset=["x"] * 100_000), r"has dataset \['x'"),
        (
            change_state(lambda s: s.update({f"extra{i}": np.zeros(1, np.float32) for i in range(1000)})),
            "do not belong there: .*extra",
        ),
        (change_options(extra=1), r"does not know: \['extra'\]"),
    ],
)
def test_a_spoilt_checkpoint_is_refused(
    tmp_path: Path, spoil: Callable[[State, Run], None], words: str
) -> None:
    good = make()
    run = {name: getattr(good, name) for name in _RUN_FIELDS}
    spoil(good.state, run)
    save_file(good.state, tmp_path / "run", {"format": FORMAT, "run": json.dumps(run)})
    with pytest.raises(CheckpointError, match=words) as error:
        load(tmp_path / "run")
    assert str(tmp_path / "run") in str(error.value)
    assert len(str(error.value)) < 600 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "has format None, expected 'mpsmnist checkpoint 2'"),
        ({"format": "mpsmnist checkpoint 3"}, "has format 'mpsmnist checkpoint 3'"),
        ({"format": FORMAT}, "no readable metadata entry 'run'"),
        ({"format": FORMAT, "run": "{"}, "no readable metadata entry 'run'"),
        ({"format": FORMAT, "run": "[" * 100_000}, "no readable metadata entry 'run'"),
        ({"format": FORMAT, "run": '{"a":' * 100_000}, "no readable metadata entry 'run'"),
        ({"format": FORMAT, "run": "9" * 5_000}, "'run'"),
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


def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="pipe' cannot be read: it is a pipe, expected a file"):
        load(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="it is a device, expected a file"):
        load(os.devnull)
    with pytest.raises(CheckpointError, match="cannot be read: embedded null"):
        load(tmp_path / "nu\0ll")
    with pytest.raises(CheckpointError, match="cannot be read: File name too long"):
        load(tmp_path / ("n" * 300))


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="pipe' cannot be written: it is a pipe, expected a file"):
        save(tmp_path / "pipe", make())
    with pytest.raises(CheckpointError, match="cannot be written: embedded null"):
        save(tmp_path / "nu\0ll", make())
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    device = null_device(tmp_path)
    with pytest.raises(CheckpointError, match="it is a device"):
        save(device, make())
    assert device.is_char_device()


@pytest.mark.parametrize("length", [1, 7, 8, 100, 1000, -1])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, length: int) -> None:
    save(tmp_path / "run", make())
    data = (tmp_path / "run").read_bytes()
    (tmp_path / "run").write_bytes(data[:length])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load(tmp_path / "run")


def write_file(path: Path, header: bytes, size: int) -> None:
    """Write a safetensors file with `size` bytes of zeros, which take no room."""
    path.unlink(missing_ok=True)  # ext4 takes milliseconds to write over a file
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + size)


def header_of(checkpoint: Checkpoint) -> tuple[dict[str, Any], int]:
    """The header that a safetensors file of the checkpoint has, and the size of what follows."""
    run = {name: getattr(checkpoint, name) for name in _RUN_FIELDS}
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "run": json.dumps(run)}}
    offset = 0
    for name, tensor in checkpoint.state.items():
        offsets = [offset, offset := offset + tensor.nbytes]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
    return header, offset


def test_tensors_are_checked_before_they_are_read(tmp_path: Path) -> None:
    """A file of 1.5 GB, which takes no room on the disk, must take none in memory."""
    header, size = header_of(make())
    more = 1_500_000_000
    header["fc9.bias"] = {"dtype": "F32", "shape": [more // 4], "data_offsets": [size, size + more]}
    write_file(tmp_path / "run", json.dumps(header).encode(), size + more)
    code = (
        "import resource, sys, mpsmnist.checkpoint\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    mpsmnist.checkpoint.load(sys.argv[1])\n"
        "except mpsmnist.CheckpointError as error:\n"
        "    assert 'fc9.bias' in str(error)\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "run")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 20_000_000  # kilobytes on Linux, bytes on macOS
    if sys.platform == "linux":
        assert int(done.stdout) < 20_000


def test_a_file_that_is_shortened_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """Were it mapped into memory, the process would be killed by SIGBUS."""
    save(tmp_path / "run", make())
    code = (
        "import json, os, sys, mpsmnist.checkpoint\n"
        "loads = json.loads\n"
        "def shorten(text):\n"  # between the header and the tensors
        "    os.truncate(sys.argv[1], 5000)\n"
        "    return loads(text)\n"
        "json.loads = shorten\n"
        "try:\n"
        "    mpsmnist.checkpoint.load(sys.argv[1])\n"
        "except mpsmnist.CheckpointError as error:\n"
        "    print(error)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "run")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "is not a readable safetensors file" in done.stdout


# What a file may have in place of a value, as JSON.
ODD_VALUES = (
    "null", "true", "-1", "0", "3", "2.5", "-0.0", "1e400", "NaN", "-Infinity", str(2**31), str(2**63),
    str(2**64), "1" + "0" * 400, "9" * 5_000, '""', '"x"', '"nan"', r'"\ud800"', "[]", "[[]]", "{}",
    '{"a": 1}', "[" * 5_000 + "]" * 5_000, "[0, 9223372036854775808]", '["F32"]',
)  # fmt: skip


def spoil_each_value(tree: Any) -> Iterator[str]:
    """The JSON of `tree` with each of its values, in turn, replaced by each of the odd ones."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            walk(node[key])

    walk(tree)
    for node, key in places:
        value, node[key] = node[key], "PLACEHOLDER"
        text = json.dumps(tree)
        node[key] = value
        yield from (text.replace('"PLACEHOLDER"', odd) for odd in ODD_VALUES)


def spoil_bytes(data: bytes, count: int) -> Iterator[bytes]:
    """`data` with a byte changed, a piece cut out, or a piece put in twice."""
    dice = random.Random(0)
    for _ in range(count):
        begin, end = sorted(dice.choices(range(len(data)), k=2))
        match dice.randrange(3):
            case 0:
                yield data[:begin] + bytes([dice.randrange(256)]) + data[begin + 1 :]
            case 1:
                yield data[:begin] + data[min(end, begin + 20) :]
            case _:
                yield data[:end] + data[begin:]


def test_whatever_the_header_says_only_checkpoint_errors_come(tmp_path: Path) -> None:
    header, size = header_of(make(num_classes=2))
    metadata = header["__metadata__"]
    run = metadata["run"]
    headers = [*spoil_each_value(header), *spoil_bytes(json.dumps(header).encode(), 1000)]
    for spoilt in (*spoil_each_value(json.loads(run)), *spoil_bytes(run.encode(), 1000)):
        metadata["run"] = spoilt if isinstance(spoilt, str) else spoilt.decode("utf-8", "replace")
        headers.append(json.dumps(header))
    refusals = []
    for text in headers:
        write_file(tmp_path / "run", text if isinstance(text, bytes) else text.encode(), size)
        try:
            load(tmp_path / "run")
        except CheckpointError as error:
            refusals.append(str(error))
    assert len(headers) > 3000
    assert len(refusals) > 0.9 * len(headers)
    assert max(map(len, refusals)) < 2_000


@pytest.mark.parametrize("length", [0, 2, 100, 10**6, 10**9, 2**63, 2**64 - 1])
def test_a_header_that_lies_about_its_length_is_refused(tmp_path: Path, length: int) -> None:
    save(tmp_path / "run", make())
    with (tmp_path / "run").open("r+b") as file:
        file.write(length.to_bytes(8, "little"))
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
    run = {name: getattr(good, name) for name in _RUN_FIELDS} | {"sampler_position": 48}
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


def with_familiarity(**changes: NDArray[Any]) -> Checkpoint:
    shapes = {"mean": (392,), "basis": (392, 100), "centres": (3, 102), "whitening": (3, 102, 102)}
    arrays = {name: (_ramp(shape, 0) % 7).astype(np.float16) for name, shape in shapes.items()}
    examples = {"examples": (_ramp((5, 102), 0) % 7).astype(np.int8), "reach": np.array(0.5, np.float16)}
    return make(familiarity=arrays | examples | changes)


def test_what_is_known_of_the_training_images_is_no_tensor_of_the_file(tmp_path: Path) -> None:
    saved = with_familiarity()
    save(tmp_path / "run", saved)
    assert saved.familiarity is not None
    loaded = load(tmp_path / "run").familiarity
    assert loaded is not None
    assert loaded.keys() == saved.familiarity.keys()
    for name, array in saved.familiarity.items():
        np.testing.assert_array_equal(loaded[name], array)
    with safe_open(tmp_path / "run", framework="numpy") as file:
        assert set(file.keys()) == saved.state.keys()


@pytest.mark.parametrize(
    "change",
    [lambda a: a.T.copy().T, lambda a: a.astype(a.dtype.newbyteorder())],
    ids=["transposed", "byte-swapped"],
)
def test_arrays_of_it_may_be_of_any_memory_order(
    tmp_path: Path, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    good = with_familiarity().familiarity
    assert good is not None
    save(tmp_path / "run", make(familiarity={name: change(array) for name, array in good.items()}))
    loaded = load(tmp_path / "run").familiarity
    assert loaded is not None
    for name, array in good.items():
        np.testing.assert_array_equal(loaded[name], array)


def test_a_file_without_it_is_as_good(tmp_path: Path) -> None:
    save(tmp_path / "run", make())
    assert load(tmp_path / "run").familiarity is None


BAD_FAMILIARITY: dict[str, dict[str, NDArray[Any]]] = {
    "another size": {"mean": np.zeros(391, np.float16)},
    "another number of classes": {"centres": np.zeros((2, 102), np.float16)},
    "no class": {"centres": np.zeros((0, 102), np.float16), "whitening": np.zeros((0, 102, 102), np.float16)},
    "more classes than the network": {
        "centres": np.zeros((11, 102), np.float16),
        "whitening": np.zeros((11, 102, 102), np.float16),
    },
    "no example": {"examples": np.zeros((0, 102), np.int8)},
    "too many examples": {"examples": np.zeros((6001, 102), np.int8)},
    "examples of another type": {"examples": np.zeros((5, 102), np.float16)},
    "no reach": {"reach": np.zeros((), np.float16)},
    "a number alone": {"centres": np.zeros((), np.float16)},
    "not a number": {"basis": np.full((392, 100), np.nan, np.float16)},
    "another type": {"mean": np.zeros(392, np.float32)},
    "another array": {"more": np.zeros(1, np.float16)},
}


@pytest.mark.parametrize("changes", BAD_FAMILIARITY.values(), ids=BAD_FAMILIARITY.keys())
def test_what_it_should_not_hold(tmp_path: Path, changes: dict[str, NDArray[Any]]) -> None:
    path, bad = tmp_path / "run", with_familiarity(**changes)
    with pytest.raises(CheckpointError, match="'familiarity 2' of other arrays"):
        save(path, bad)
    assert not path.exists()
    assert bad.familiarity is not None
    save_with_entry(path, base64.b64encode(serialize(bad.familiarity)).decode())
    with pytest.raises(CheckpointError, match="'familiarity 2' of other arrays"):
        load(path)


def test_what_another_version_learned_is_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run"
    save_with_entry(path, "of another form", name="familiarity 1")
    assert_same(load(path), make())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"checkpoint '{path}' has 'familiarity 1', expected 'familiarity 2'" in caplog.text


def save_with_entry(path: Path, text: str, name: str = "familiarity 2") -> None:
    """Save a good checkpoint whose entry on the training images is `text`."""
    save(path, make())
    with safe_open(path, framework="numpy") as file:
        metadata, state = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(state, path, metadata | {name: text})


def one_array(dtype: str, size: int) -> str:
    """Safetensors of an array "mean" (392,) of a dtype, in base64."""
    header = json.dumps({"mean": {"dtype": dtype, "shape": [392], "data_offsets": [0, size]}}).encode()
    return base64.b64encode(struct.pack("<Q", len(header)) + header + bytes(size)).decode()


@pytest.mark.parametrize(
    "text",
    ["", "?", "\x00", "é", "AAAA", "AAAAAAAAAAAAAAAA", one_array("BF16", 784), one_array("F8_E4M3", 392)],
    ids=["empty", "?", "null", "not ASCII", "short", "no header", "bfloat16", "float8"],
)
def test_a_familiarity_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run"
    save_with_entry(path, text)
    with pytest.raises(CheckpointError, match="no readable metadata entry 'familiarity 2'"):
        load(path)
