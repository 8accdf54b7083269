"""What a file is that was given for a checkpoint and is none."""

import os
import reprlib
from collections.abc import Sequence

from ..file_kinds import HEAD, file_kind
from ..network import state_shapes
from ..user_files import open_regular

MAKERS = "`mpsmnist train --checkpoint PATH` and mpsmnist.checkpoint.save make checkpoints"


def describe_file(path: str | os.PathLike[str]) -> str | None:
    """Name the kind of a regular file by its first bytes, None if it is unknown. Raises OSError."""
    with open_regular(path) as file:
        kind = file_kind(file.read(HEAD))
    return None if kind is None else kind.value


def describe_safetensors(format_: str | None, tensors: Sequence[str]) -> str:
    """Say what a safetensors file is by its metadata entry "format", which is not ours, and its tensors."""
    if format_ is not None and format_.startswith("mpsmnist "):
        return "another version of mpsmnist wrote it"
    if set(tensors) in (set(state_shapes()), set(state_shapes(momentum=True))):
        return (
            "it has weights with this network's names but no run; safetensors.numpy.load_file "
            "and Trainer.load_state_dict take those"
        )
    return f"another program wrote it, with the tensors {reprlib.repr(sorted(tensors))}; {MAKERS}"
