"""What a file is that was given for a checkpoint and is none."""

import os
import reprlib
from collections.abc import Mapping

from ..file_kinds import HEAD, FileKind, file_kind
from ..network import channels_first_shapes, parameter_shapes
from ..user_files import open_regular

TORCH_LOADER = "mpsmnist.interop.torch.load_state_dict(trainer, state_dict)"
SAVER = "mpsmnist.checkpoint.save_weights(PATH, trainer)"
MAKERS = f"`mpsmnist train --checkpoint PATH` and, in a script of your own, {SAVER} make such files"


def describe_file(path: str | os.PathLike[str]) -> str | None:
    """Name a file by its first bytes and say what would do; None if they are unknown. Raises OSError."""
    with open_regular(path) as file:
        kind = file_kind(file.read(HEAD))
    if kind is None:
        return None
    torch = kind in (FileKind.PYTORCH, FileKind.PICKLE)
    return f"{kind.value}; {MAKERS}" + (f", after {TORCH_LOADER}" if torch else "")


def describe_safetensors(format_: str | None, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Say what a safetensors file is by its metadata entry "format", which is not ours, and its tensors."""
    if format_ is not None and format_.startswith("mpsmnist "):
        return "another version of mpsmnist wrote it"
    if parameter_shapes().keys() <= shapes.keys():
        # Its own convolution tells the layouts apart; the number of classes may be any.
        if shapes["conv0.weight"] == channels_first_shapes()["conv0.weight"]:
            return (
                f"it has this network's weights as PyTorch has them; {TORCH_LOADER} takes them, and {SAVER}"
            )
        return (
            "it has weights with this network's names but nothing else; Trainer.load_state_dict takes those "
            f"of safetensors.numpy.load_file(PATH), and {SAVER} makes a file of them"
        )
    return f"another program wrote it, with the tensors {reprlib.repr(sorted(shapes))}; {MAKERS}"
