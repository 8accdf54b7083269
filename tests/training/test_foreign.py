"""Files that are no checkpoints: each is named, and what makes a checkpoint is said."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mpsmnist import CheckpointError, Trainer
from mpsmnist.checkpoint import load
from mpsmnist.network import to_channels_first
from mpsmnist.training.foreign import describe_file


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, **{"fc1.bias": np.zeros(10, np.float32)})
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(10, np.float32))
    return file.getvalue()


def archive(*members: str) -> bytes:
    """A ZIP archive with these members, as torch.save and Keras begin theirs."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for member in members:
            zipped.writestr(member, b"something")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is an empty file"),
        (npz(), r"is a NumPy archive \(\.npz\)"),
        (npy(), r"is a NumPy array \(\.npy\)"),
        (archive("weights/data.pkl", "weights/.format_version"), r"is a PyTorch file \(\.pt\)"),
        (archive("metadata.json", "config.json"), r"is a Keras file \(\.keras\)"),
        (archive("holiday.jpg"), "is a ZIP archive"),
        (pickle.dumps({"fc1.bias": [0.0]}, protocol=2), "is a pickle"),
        (pickle.dumps({"fc1.bias": [0.0]}), "is a pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), r"is an HDF5 file \(\.h5\)"),
        (gzip.compress(b"something", mtime=0), "is a gzip file"),
        (b"GGUF" + bytes(100), "is a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 13\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html><body>Not Found</body></html>", "is an HTML or XML page"),
        (b"<?xml version='1.0'?><Error/>", "is an HTML or XML page"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "is a HEIC picture"),
        (b"\xef\xbb\xbf\n <HTML>", "is an HTML or XML page"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_safetensors_file_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "run").write_bytes(data)
    with pytest.raises(CheckpointError, match=f"run' {words}.*mpsmnist train --checkpoint PATH"):
        load(tmp_path / "run")


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run")
    with pytest.raises(OSError, match="it is a pipe, expected a file"):
        describe_file(tmp_path / "run")


def test_the_file_that_torch_writes_is_named(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch to write its file")
    torch.save({"fc1.bias": torch.zeros(10)}, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"is a PyTorch file.*interop\.torch\.load_state_dict"):
        load(tmp_path / "run")
    torch.save({"fc1.bias": torch.zeros(10)}, tmp_path / "old", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="is a pickle"):
        load(tmp_path / "old")


def test_another_networks_safetensors_file_is_named(tmp_path: Path) -> None:
    weights = {f"layer{i}.weight": np.zeros(1, np.float32) for i in range(100)}
    save_file(weights, tmp_path / "run", {"format": "pt"})
    words = r"has format 'pt', .*another program.*layer0.*--checkpoint"
    with pytest.raises(CheckpointError, match=words) as error:
        load(tmp_path / "run")
    assert len(str(error.value)) < 600 + len(str(tmp_path))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_bare_weights_of_this_network_are_told_from_others(tmp_path: Path, momentum: float) -> None:
    save_file(Trainer(device="cpu", momentum=momentum).state_dict(), tmp_path / "run")
    with pytest.raises(
        CheckpointError, match=r"Trainer\.load_state_dict takes .*, and mpsmnist\.checkpoint\.save"
    ):
        load(tmp_path / "run")


@pytest.mark.parametrize("num_classes", [3, 10])
def test_weights_in_pytorchs_layouts_are_told_from_ours(tmp_path: Path, num_classes: int) -> None:
    state = Trainer(device="cpu", num_classes=num_classes).state_dict()
    save_file(to_channels_first(state), tmp_path / "run", {"format": "pt"})
    words = r"as PyTorch has them; mpsmnist\.interop\.torch\.load_state_dict.*checkpoint\.save_weights"
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path / "run")


def test_a_format_of_the_future_is_told_from_others(tmp_path: Path) -> None:
    save_file({"weight": np.zeros(1)}, tmp_path / "run", {"format": "mpsmnist checkpoint 3"})
    with pytest.raises(CheckpointError, match="another version of mpsmnist"):
        load(tmp_path / "run")
