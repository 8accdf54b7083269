"""What a file is that was given for a checkpoint and is none."""

import os
import re
import reprlib
from collections.abc import Sequence

from ..network import state_shapes

MAKERS = "`mpsmnist train --checkpoint PATH` and mpsmnist.checkpoint.save make checkpoints"

_HEAD = 4096  # bytes to judge by

# The first that matches names the file; ZIP archives tell by the name of a member near their beginning.
_KINDS = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"PK\x03\x04.*?/data\.pkl", "a PyTorch file (.pt)"),
        (rb"PK\x03\x04.{26}[^\0]{1,200}?\.npy", "a NumPy archive (.npz)"),
        (rb"PK\x03\x04.{26}(?:metadata|config)\.json", "a Keras file (.keras)"),
        (rb"PK\x03\x04", "a ZIP archive"),
        (rb"\x93NUMPY", "a NumPy array (.npy)"),
        (rb"\x80[\x02-\x05]", "a pickle, such as PyTorch and scikit-learn write"),
        (rb"\x89HDF\r\n\x1a\n", "an HDF5 file (.h5), such as Keras writes"),
        (rb"\x1f\x8b", "a gzip file"),
        (rb"GGUF", "a GGUF file"),
        (
            rb"version https://git-lfs\.github\.com/",
            "a Git LFS pointer, not yet the file (`git lfs pull` gets it)",
        ),
        (
            rb"(?i:(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html))",
            "an HTML page, perhaps in place of a download",
        ),
        (rb"\Z", "an empty file"),
    )
)


def describe_file(path: str | os.PathLike[str]) -> str | None:
    """Name the kind of a regular file by its first bytes, None if it is unknown. Raises OSError."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    return next((kind for pattern, kind in _KINDS if pattern.match(head)), None)


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
