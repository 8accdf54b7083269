"""Checkpoints: safetensors files that hold all that a run needs to continue with the very same bits.

A file holds the state dict (weights, and momentum buffers if there is momentum) and metadata entries:
"format", which is FORMAT; "run", a JSON object with other fields of Checkpoint; "classes", a JSON list of
names, which older files lack; and "familiarity 2", unless there were too few images: safetensors in base64,
as other libraries take every tensor of a file for weights.

A file of weights alone has WEIGHTS_FORMAT, no momentum, and "step", a JSON number, in place of "run".
"""

import base64
import binascii
import hashlib
import json
import logging
import math
import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load as deserialize
from safetensors.numpy import save as serialize

from .._core import __version__
from ..data.sources import number_names
from ..errors import CheckpointError
from ..files import atomic_write, resolve
from ..network import has_momentum_buffers, state_shapes
from ..user_files import open_regular, reason_of
from .config import ADDED_OPTIONS, SAVED_FIELDS, ConfigError, TrainConfig, check_output
from .foreign import describe_file, describe_safetensors

_log = logging.getLogger(__name__)

FORMAT = "mpsmnist checkpoint 2"
_FORMAT_1 = "mpsmnist checkpoint 1"  # the same, and "sampler_position", which was always step * batch_size
WEIGHTS_FORMAT = "mpsmnist weights 1"
_CLASSES = "classes"
_STEP = "step"
_FAMILIARITY = "familiarity 2"  # the number says how images are described
_DESCRIPTION, _COMPONENTS, _EXAMPLES = 392, 100, 6000  # the sizes of that
_DTYPE = "F32"  # safetensors' name of it
_Shapes = dict[str, tuple[int, ...]]
_Found = Mapping[str, tuple[str, tuple[int, ...]]]  # dtypes and shapes in a file
_HEADER_SIZE = 1_207_000  # bytes, about: most of it is the familiarity with ten classes


@dataclass(frozen=True, kw_only=True)
class SavedWeights:
    """A network after `step` steps, and what is known of the images that it was trained on."""

    state: dict[str, NDArray[np.float32]]  # Trainer.state_dict(), in its order
    classes: tuple[str, ...]  # as of Dataset
    step: int
    familiarity: dict[str, NDArray[Any]] | None = None  # fields of Familiarity

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)


@dataclass(frozen=True, kw_only=True)
class Checkpoint(SavedWeights):
    """The state of a run after `step` of its `total_steps` steps."""

    options: dict[str, Any]  # TrainConfig.saved_options()
    total_steps: int
    dataset: str
    fingerprint: str  # of the training set, see fingerprint()
    package_version: str = __version__


# The types of the fields in the metadata.
_RUN_FIELDS: dict[str, type] = {
    "options": dict,
    "step": int,
    "total_steps": int,
    "num_classes": int,
    "dataset": str,
    "fingerprint": str,
    "package_version": str,
}


def fingerprint(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> str:
    """Compute a SHA-256 sum, in hexadecimal, that tells this training set from any other."""
    digest = hashlib.sha256(repr((images.shape, labels.shape)).encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def check_target(config: TrainConfig) -> None:
    """Check that the run may save to its `checkpoint`; nothing is changed.

    Raises:
        ConfigError: the file cannot be written, or exists and neither `overwrite` nor `resume` lets the run
            replace it.
    """
    path = config.checkpoint
    if path is None:
        return
    shapes = state_shapes(momentum=has_momentum_buffers(config.momentum))
    size = _HEADER_SIZE + 4 * sum(map(math.prod, shapes.values()))
    copies = 2 if config.checkpoint_every is not None and not path.exists() else 1  # each save keeps the last
    check_output("checkpoint", path, copies * size)
    if config.overwrite or not path.exists() or not path.stat().st_size:  # an empty file is nobody's work
        return
    if config.resume is None or not path.samefile(config.resume):
        raise ConfigError(
            f"checkpoint is {str(path)!r}, which exists: `overwrite` replaces it, `resume` continues its run"
        )


def save(path: str | os.PathLike[str], checkpoint: SavedWeights) -> None:
    """Write a checkpoint, or weights alone; whatever happens, `path` holds the old file or the whole new one.

    A file that exists is replaced, with its mode kept. If `path` is a symbolic link, such as latest -> run1,
    the link stays and the file behind it is written. The arrays of the state may be of any memory order, byte
    order and float dtype; float32 is what the file holds.

    Raises:
        CheckpointError: the file cannot be written, or load() and load_weights() would refuse the values.
    """
    metadata, shapes = _describe(path, checkpoint)
    classes = list(checkpoint.classes)
    _check_classes(path, classes, checkpoint.num_classes)
    state = {name: _as_float32(path, name, value) for name, value in checkpoint.state.items()}
    _check_layout(path, shapes, {name: (_DTYPE, value.shape) for name, value in state.items()})
    _check_finite(path, state)
    metadata[_CLASSES] = json.dumps(classes)
    if checkpoint.familiarity is not None:
        known = {name: _as_stored(array) for name, array in checkpoint.familiarity.items()}
        _check_familiarity(path, known, checkpoint.num_classes)
        metadata[_FAMILIARITY] = base64.b64encode(serialize(known)).decode()
    data = serialize(state, metadata)
    try:
        with atomic_write(resolve(path)) as file:
            file.write(data)
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise _bad(path, f"cannot be written: {reason_of(error)}") from error


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and check a checkpoint. What its header says is checked before any tensor is read.

    Raises:
        CheckpointError: names the file and what is wrong with it, whatever its bytes are; weights alone are
            no checkpoint.
    """
    saved = load_weights(path)
    if not isinstance(saved, Checkpoint):
        raise _bad(
            path,
            "has weights alone, and no run that could be resumed: "
            "`mpsmnist train --init-from PATH` begins a new one with them",
        )
    return saved


def load_weights(path: str | os.PathLike[str]) -> SavedWeights:
    """Read and check a file of weights, or a checkpoint, which is returned as a Checkpoint.

    Raises:
        CheckpointError: names the file and what is wrong with it, whatever its bytes are.
    """
    _check_is_file(path)
    try:
        # Not mapped into memory: the process would be killed if somebody shortens the file meanwhile.
        with safe_open(path, framework="numpy", backend="pread") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is not a mapping)
            found = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
            metadata = file.metadata() or {}
            kind, fields, shapes = _parse(path, metadata, found)
            _check_layout(path, shapes, found)
            classes = _parse_classes(path, metadata, shapes["fc1.bias"][0])
            state = {name: file.get_tensor(name) for name in shapes}
    except (SafetensorError, OSError) as error:
        raise _bad(path, _explain(path, error)) from error
    _check_finite(path, state)
    familiarity = _parse_familiarity(path, metadata, len(classes))
    return kind(state=state, classes=classes, familiarity=familiarity, **fields)


def _describe(path: str | os.PathLike[str], saved: SavedWeights) -> tuple[dict[str, str], _Shapes]:
    """Return the metadata that tell of a run, or of none, and the shapes of its tensors; all checked."""
    if not isinstance(saved, Checkpoint):
        _check_step(path, saved.step)
        metadata = {"format": WEIGHTS_FORMAT, _STEP: json.dumps(saved.step)}
        return metadata, _shapes(path, saved.num_classes, 0.0)
    run = {name: getattr(saved, name) for name in _RUN_FIELDS}
    _check_run(path, run)
    metadata = {"format": FORMAT, "run": json.dumps(run, allow_nan=False)}
    return metadata, _shapes(path, saved.num_classes, run["options"]["momentum"])


def _parse(
    path: str | os.PathLike[str], metadata: dict[str, str], found: _Found
) -> tuple[type[SavedWeights], dict[str, Any], _Shapes]:
    """Return the kind of file, its fields but for arrays and classes, and the shapes of its tensors."""
    if metadata.get("format") != WEIGHTS_FORMAT:
        run = _parse_run(path, metadata, found)
        return Checkpoint, run, _shapes(path, run.pop("num_classes"), run["options"]["momentum"])
    step = _parse_json(path, metadata, _STEP)
    _check_step(path, step)
    classes = _parse_json(path, metadata, _CLASSES)
    if not isinstance(classes, list):
        raise _bad(path, f"has classes {reprlib.repr(classes)}, expected a list of names")
    return SavedWeights, {_STEP: step}, _shapes(path, len(classes), 0.0)


def _parse_json(path: str | os.PathLike[str], metadata: dict[str, str], entry: str) -> Any:
    try:
        return json.loads(metadata[entry])
    except (KeyError, ValueError, RecursionError) as error:
        raise _bad(path, f"has no readable metadata entry {entry!r}") from error


def _check_step(path: str | os.PathLike[str], step: object) -> None:
    if type(step) is not int or not 0 <= step < 2**63:
        raise _bad(path, f"has step {reprlib.repr(step)} in its metadata")


def _shapes(path: str | os.PathLike[str], num_classes: int, momentum: float) -> _Shapes:
    """Return the names and shapes of Trainer.state_dict(), in its order."""
    try:
        return state_shapes(num_classes, momentum=has_momentum_buffers(momentum))
    except (TypeError, ValueError) as error:  # TypeError: past 64 bits
        raise _bad(path, f"has num_classes {reprlib.repr(num_classes)}, which no network has") from error


def _bad(path: str | os.PathLike[str], problem: str) -> CheckpointError:
    return CheckpointError(f"checkpoint {os.fspath(path)!r} {problem}")


def _check_is_file(path: str | os.PathLike[str]) -> None:
    """Raise CheckpointError unless there is a regular file: a pipe would be waited for."""
    try:
        open_regular(path).close()
    except FileNotFoundError as error:
        raise _bad(path, "does not exist") from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise _bad(path, f"cannot be read: {reason_of(error)}") from error


def _explain(path: str | os.PathLike[str], error: Exception) -> str:
    """Say why safetensors cannot read the file."""
    try:
        kind = describe_file(path)
    except OSError as unreadable:
        return f"cannot be read: {reason_of(unreadable)}"
    return f"is not a readable safetensors file: {error}" if kind is None else f"is {kind}"


def _parse_run(path: str | os.PathLike[str], metadata: dict[str, str], found: _Found) -> dict[str, Any]:
    """Return the fields of Checkpoint except the state, all of them checked."""
    format_ = metadata.get("format")
    if format_ not in (FORMAT, _FORMAT_1):
        origin = describe_safetensors(format_, {name: shape for name, (_, shape) in found.items()})
        raise _bad(path, f"has format {reprlib.repr(format_)}, expected {FORMAT!r}: {origin}")
    run = _parse_json(path, metadata, "run")
    if format_ == _FORMAT_1 and isinstance(run, dict):
        run.pop("sampler_position", None)
    if not isinstance(run, dict) or run.keys() != _RUN_FIELDS.keys():
        raise _bad(path, f"has metadata that is not an object of {', '.join(_RUN_FIELDS)}")
    _check_run(path, run)
    return run


def _parse_classes(
    path: str | os.PathLike[str], metadata: dict[str, str], num_classes: int
) -> tuple[str, ...]:
    """Return the classes' names; those of older checkpoints are numbers."""
    if _CLASSES not in metadata:
        return number_names(num_classes)
    classes = _parse_json(path, metadata, _CLASSES)
    _check_classes(path, classes, num_classes)
    return tuple(classes)


def _check_classes(path: str | os.PathLike[str], classes: object, num_classes: int) -> None:
    named = isinstance(classes, list) and all(isinstance(name, str) and name for name in classes)
    if not named or len(classes) != num_classes:  # type: ignore[arg-type]
        raise _bad(path, f"has classes {reprlib.repr(classes)}, expected {num_classes} names")


def _parse_familiarity(
    path: str | os.PathLike[str], metadata: dict[str, str], num_classes: int
) -> dict[str, NDArray[Any]] | None:
    if _FAMILIARITY not in metadata:
        if others := [name for name in metadata if name.startswith("familiarity ")]:
            _log.warning(
                "checkpoint %r has %r, expected %r: pictures unlike the training images will not be unsure",
                os.fspath(path),
                others[0],
                _FAMILIARITY,
            )
        return None
    try:
        arrays = deserialize(base64.b64decode(metadata[_FAMILIARITY], validate=True))
    except (binascii.Error, ValueError, KeyError, SafetensorError) as error:  # KeyError: no dtype of NumPy
        raise _bad(path, f"has no readable metadata entry {_FAMILIARITY!r}") from error
    _check_familiarity(path, arrays, num_classes)
    return arrays


def _check_familiarity(
    path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], num_classes: int
) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    classes, examples = (shapes.get(name, ())[:1] for name in ("centres", "examples"))
    numbers = _COMPONENTS + 2
    expected = {
        "mean": (_DESCRIPTION,),
        "basis": (_DESCRIPTION, _COMPONENTS),
        "centres": (*classes, numbers),
        "whitening": (*classes, numbers, numbers),
        "examples": (*examples, numbers),
        "reach": (),
    }
    fits = shapes == expected and 1 <= classes[0] <= num_classes and 1 <= examples[0] <= _EXAMPLES
    types = all(a.dtype == (np.int8 if name == "examples" else np.float16) for name, a in arrays.items())
    if not (fits and types and all(np.isfinite(a).all() for a in arrays.values()) and arrays["reach"] > 0):
        raise _bad(path, f"has a metadata entry {_FAMILIARITY!r} of other arrays than it should hold")


def _check_run(path: str | os.PathLike[str], run: dict[str, Any]) -> None:
    """Check the types and values of the fields of Checkpoint except the state."""
    for name, kind in _RUN_FIELDS.items():
        if type(run[name]) is not kind:
            raise _bad(path, f"has {name} {reprlib.repr(run[name])} in its metadata")
    run["options"] = ADDED_OPTIONS | run["options"]
    if newer := sorted(run["options"].keys() - set(SAVED_FIELDS)):
        raise _bad(path, f"has options that this version of mpsmnist does not know: {reprlib.repr(newer)}")
    if run["options"].keys() != set(SAVED_FIELDS):
        raise _bad(path, f"has options that are not {', '.join(SAVED_FIELDS)}")
    try:
        TrainConfig(**run["options"], checkpoint=Path(path))
        TrainConfig(steps=run["total_steps"])
    except ConfigError as error:
        raise _bad(path, f"has bad options in its metadata: {error!s:.200}") from error
    if not 0 <= run["step"] <= run["total_steps"]:
        raise _bad(path, f"is at step {run['step']} of {run['total_steps']}")


def _check_layout(
    path: str | os.PathLike[str],
    shapes: _Shapes,
    found: _Found,
) -> None:
    """Check names, dtypes and shapes."""
    if lacking := [name for name in shapes if name not in found]:
        raise _bad(path, f"lacks the tensors {', '.join(lacking)}")
    if extra := [name for name in found if name not in shapes]:
        raise _bad(path, f"has tensors that do not belong there: {reprlib.repr(extra)}")
    for name, expected in shapes.items():
        dtype, shape = found[name]
        if dtype != _DTYPE:
            raise _bad(path, f"has {name} as {dtype}, expected {_DTYPE}")
        if shape != expected:
            raise _bad(path, f"has {name} of shape {shape}, expected {expected}")


def _as_float32(path: str | os.PathLike[str], name: str, value: object) -> NDArray[np.float32]:
    """Return the array as the file holds it: contiguous, little-endian float32."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise _bad(path, f"gets {reprlib.repr(name)} as {kind}, expected an array of float32")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as that
        return np.ascontiguousarray(value, "<f4")


def _as_stored(array: NDArray[Any]) -> NDArray[Any]:
    """Return it in C order and little-endian: safetensors writes the memory of an array as it lies."""
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def _check_finite(path: str | os.PathLike[str], state: Mapping[str, NDArray[np.float32]]) -> None:
    for name, tensor in state.items():
        if not np.isfinite(tensor).all():
            raise _bad(path, f"has values in {name} that are not finite numbers")
