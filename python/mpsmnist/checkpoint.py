"""Checkpoints: safetensors files that hold all that a run needs to continue with the very same bits.

A file holds the state dict (weights, and momentum buffers where there is momentum) and two metadata
entries: "format", which is FORMAT, and "run", a JSON object with the other fields of Checkpoint.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialize

from ._core import __version__
from .errors import CheckpointError
from .recipe import SAVED_FIELDS, ConfigError, TrainConfig

FORMAT = "mpsmnist checkpoint 1"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after `step` of its `total_steps` steps."""

    state: dict[str, NDArray[np.float32]]  # Trainer.state_dict()
    options: dict[str, Any]  # TrainConfig.saved_options()
    step: int
    total_steps: int
    sampler_position: int  # images drawn so far
    num_classes: int
    dataset: str
    fingerprint: str  # of the training set, see fingerprint()
    package_version: str = __version__


def parameter_shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the weights, in the order that is used everywhere."""
    return {
        "conv0.weight": (5, 5, 1, 32),
        "conv0.bias": (32,),
        "conv1.weight": (5, 5, 32, 64),
        "conv1.bias": (64,),
        "fc0.weight": (3136, 1024),
        "fc0.bias": (1024,),
        "fc1.weight": (1024, num_classes),
        "fc1.bias": (num_classes,),
    }


def fingerprint(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> str:
    """Compute a SHA-256 sum, in hexadecimal, that tells this training set from any other."""
    digest = hashlib.sha256(repr((images.shape, labels.shape)).encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write the checkpoint; whatever happens meanwhile, `path` holds either the old file or the new one.

    The bytes go to a hidden neighbour, ".NAME.tmp", which is flushed to the disk and then renamed. What a
    killed process left there is overwritten by the next save.

    Raises:
        CheckpointError: the disk refuses, or load() would refuse the values.
    """
    target = Path(os.path.realpath(path))  # the file behind a symbolic link, not the link, is replaced
    run = {name: value for name, value in vars(checkpoint).items() if name != "state"}
    _check_tensors(path, checkpoint)
    data = serialize(checkpoint.state, {"format": FORMAT, "run": json.dumps(run, allow_nan=False)})
    try:
        with _locked(target.with_name(f".{target.name}.tmp")) as (temporary, descriptor):
            try:
                with open(descriptor, "wb", closefd=False) as file:
                    file.write(data)
                os.fsync(descriptor)
                os.replace(temporary, target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        _flush_folder(target.parent)
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {os.fspath(path)!r} cannot be written: {error.strerror or error}"
        ) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[tuple[Path, int]]:
    """Open an empty file at `path` that no other process writes or renames meanwhile."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # While this process waited, the file's last writer may have renamed it: then it is not ours.
            if _is_at(path, descriptor):
                os.ftruncate(descriptor, 0)
                yield path, descriptor
                return
        finally:
            os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
            for name in file.keys():  # noqa: SIM118 (it is no mapping)
                dtype = file.get_slice(name).get_dtype()
                if dtype != "F32":
                    raise _bad(path, f"has {name} as {dtype}, expected F32")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _bad(path, f"is no readable safetensors file: {error}") from error
    checkpoint = Checkpoint(state=state, **run)
    _check_tensors(path, checkpoint)
    return checkpoint


def _bad(path: str | os.PathLike[str], problem: str) -> CheckpointError:
    return CheckpointError(f"checkpoint {os.fspath(path)!r} {problem}")


def _parse_run(path: str | os.PathLike[str], metadata: dict[str, str]) -> dict[str, Any]:
    """Return the fields of Checkpoint but for the state, all of them checked."""
    if metadata.get("format") != FORMAT:
        raise _bad(path, f"has format {metadata.get('format')!r}, expected {FORMAT!r}")
    try:
        run = json.loads(metadata["run"])
    except (KeyError, ValueError) as error:
        raise _bad(path, "has no readable metadata entry 'run'") from error
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
        config = TrainConfig(**run["options"], checkpoint=Path(path))
    except ConfigError as error:
        raise _bad(path, f"has bad options in its metadata: {error}") from error
    if not 0 <= run["step"] <= run["total_steps"]:
        raise _bad(path, f"is at step {run['step']} of {run['total_steps']}")
    if run["sampler_position"] != run["step"] * config.batch_size:
        raise _bad(path, f"has sampler_position {run['sampler_position']} at step {run['step']}")
    if run["num_classes"] < 1:
        raise _bad(path, f"has num_classes {run['num_classes']}")


def _check_tensors(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    shapes = parameter_shapes(checkpoint.num_classes)
    if checkpoint.options["momentum"] > 0:
        shapes |= {f"momentum.{name}": shape for name, shape in shapes.items()}
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
