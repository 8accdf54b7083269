"""Checkpoints: safetensors files that hold all that a run needs to continue with the very same bits.

A file holds the state dict (weights, and momentum buffers if there is momentum) and two metadata entries:
"format", which is FORMAT, and "run", a JSON object with the other fields of Checkpoint.
"""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialize

from .._core import __version__
from ..errors import CheckpointError
from ..files import atomic_write
from ..network import has_momentum_buffers, state_shapes
from .config import SAVED_FIELDS, ConfigError, TrainConfig

FORMAT = "mpsmnist checkpoint 2"
_FORMAT_1 = "mpsmnist checkpoint 1"  # the same, and "sampler_position", which was always step * batch_size


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after `step` of its `total_steps` steps."""

    state: dict[str, NDArray[np.float32]]  # Trainer.state_dict(), in its order
    options: dict[str, Any]  # TrainConfig.saved_options()
    step: int
    total_steps: int
    num_classes: int
    dataset: str
    fingerprint: str  # of the training set, see fingerprint()
    package_version: str = __version__


def fingerprint(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> str:
    """Compute a SHA-256 sum, in hexadecimal, that tells this training set from any other."""
    digest = hashlib.sha256(repr((images.shape, labels.shape)).encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write the checkpoint; whatever happens meanwhile, `path` holds either the old file or the new one.

    Raises:
        CheckpointError: the file cannot be written, or load() would refuse the values.
    """
    target = Path(os.path.realpath(path))  # the file behind a symbolic link, not the link, is replaced
    run = {name: value for name, value in vars(checkpoint).items() if name != "state"}
    _check_tensors(path, checkpoint)
    data = serialize(checkpoint.state, {"format": FORMAT, "run": json.dumps(run, allow_nan=False)})
    try:
        with atomic_write(target) as file:
            file.write(data)
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {os.fspath(path)!r} cannot be written: {error.strerror or error}"
        ) from error


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and check a checkpoint.

    Raises:
        CheckpointError: names the file and what is wrong with it.
    """
    if not os.path.isfile(path):
        raise _bad(path, "is a folder" if os.path.isdir(path) else "does not exist")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            run = _parse_run(path, metadata)
            for name in file.keys():  # noqa: SIM118 (it is not a mapping)
                dtype = file.get_slice(name).get_dtype()
                if dtype != "F32":
                    raise _bad(path, f"has {name} as {dtype}, expected F32")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _bad(path, f"is not a readable safetensors file: {error}") from error
    checkpoint = Checkpoint(state=state, **run)
    names = _check_tensors(path, checkpoint)
    return replace(checkpoint, state={name: state[name] for name in names})  # a file sorts them


def _bad(path: str | os.PathLike[str], problem: str) -> CheckpointError:
    return CheckpointError(f"checkpoint {os.fspath(path)!r} {problem}")


def _parse_run(path: str | os.PathLike[str], metadata: dict[str, str]) -> dict[str, Any]:
    """Return the fields of Checkpoint except the state, all of them checked."""
    if metadata.get("format") not in (FORMAT, _FORMAT_1):
        raise _bad(path, f"has format {metadata.get('format')!r}, expected {FORMAT!r}")
    try:
        run = json.loads(metadata["run"])
    except (KeyError, ValueError) as error:
        raise _bad(path, "has no readable metadata entry 'run'") from error
    if metadata["format"] == _FORMAT_1 and isinstance(run, dict):
        run.pop("sampler_position", None)
    fields = {name: kind for name, kind in Checkpoint.__annotations__.items() if name != "state"}
    if not isinstance(run, dict) or run.keys() != fields.keys():
        raise _bad(path, f"has metadata that is not an object of {', '.join(fields)}")
    for name, kind in fields.items():
        if type(run[name]) is not (dict if name == "options" else kind):
            raise _bad(path, f"has {name} {run[name]!r} in its metadata")
    _check_run(path, run)
    return run


def _check_run(path: str | os.PathLike[str], run: dict[str, Any]) -> None:
    if run["options"].keys() != set(SAVED_FIELDS):
        raise _bad(path, f"has options that are not {', '.join(SAVED_FIELDS)}")
    try:
        TrainConfig(**run["options"], checkpoint=Path(path))
    except ConfigError as error:
        raise _bad(path, f"has bad options in its metadata: {error}") from error
    if not 0 <= run["step"] <= run["total_steps"]:
        raise _bad(path, f"is at step {run['step']} of {run['total_steps']}")


def _check_tensors(path: str | os.PathLike[str], checkpoint: Checkpoint) -> list[str]:
    """Check names, shapes and values; return the names in the order of Trainer.state_dict()."""
    try:
        shapes = state_shapes(
            checkpoint.num_classes, momentum=has_momentum_buffers(checkpoint.options["momentum"])
        )
    except (TypeError, ValueError) as error:  # TypeError: past 64 bits
        raise _bad(path, f"has num_classes {checkpoint.num_classes}, which no network has") from error
    if lacking := [name for name in shapes if name not in checkpoint.state]:
        raise _bad(path, f"lacks the tensors {', '.join(lacking)}")
    if extra := [name for name in checkpoint.state if name not in shapes]:
        raise _bad(path, f"has tensors that do not belong there: {', '.join(extra)}")
    for name, shape in shapes.items():
        tensor = checkpoint.state[name]
        if tensor.shape != shape:
            raise _bad(path, f"has {name} of shape {tensor.shape}, expected {shape}")
        if not np.isfinite(tensor).all():
            raise _bad(path, f"has values in {name} that are not finite numbers")
    return list(shapes)
