"""NumPy archives."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpsmnist.data.npz import read_npz

from . import Target
from .properties import (
    FIXED,
    INTEGERS,
    Written,
    assert_round_trip,
    assert_same,
    load_or_refuse,
    read_or_refuse,
    some_folder,
    written_sets,
)

_NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)
_LABELS = np.array([0, 0, 0, 1, 1, 1], np.uint8)


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _numpys_reading(path: Path, name: str) -> NDArray[Any] | None:
    """Read an array as NumPy does; None if it cannot."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[name])
    except Exception:  # whatever a damaged archive makes it raise
        return None


def _check(data: bytes) -> None:
    """Check a ZIP archive as it is, and any other bytes as the images in one."""
    with some_folder("npz") as folder:
        path = folder / "a.npz"
        if data.startswith(b"PK"):
            path.write_bytes(data)
        else:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("x_train.npy", data)
                archive.writestr("y_train.npy", _npy(_LABELS))
        most = FIXED + 4 * 1032 * path.stat().st_size
        found = read_or_refuse(lambda: read_npz(folder), folder, most)
        if found is not None:
            for part in found.parts:
                for place, array in ((part.images_name, part.images), (part.labels_name, part.labels)):
                    if (expected := _numpys_reading(path, place.rpartition(" ")[2])) is not None:
                        assert_same(array, expected)
        for resize in (False, True):
            load_or_refuse(folder, most, resize=resize)


def _seeds() -> list[bytes]:
    images = np.zeros((6, 28, 28), np.uint8)
    images[:, 8:20, 12:16] = 255
    small = images[:, 4:22:6, 4:22:6]
    seeds = [_npy(images), _npy(np.asfortranarray(small / 255)), _npy(small[..., None].repeat(3, 3))]
    for save, names in ((np.savez, _NAMES[0]), (np.savez_compressed, _NAMES[1])):
        buffer = io.BytesIO()
        save(buffer, **dict(zip(names, (small, _LABELS, small, _LABELS), strict=True)))
        seeds.append(buffer.getvalue())
    return seeds


@given(
    written_sets(("?", *INTEGERS, "f2", "f4", "f8"), (*INTEGERS, "f2", "f4", "f8")),
    st.sampled_from(_NAMES),
    st.booleans(),
    st.sampled_from(
        ["(n, h, w)", "(n, h * w)", "(n, h, w, 1)", "(n, 1, h, w)", "(n, h, w, 3)", "Fortran's order"]
    ),
    st.sampled_from(["(n,)", "(n, 1)", "one-hot"]),
)
def _round_trip(written: Written, names: tuple[str, ...], packed: bool, form: str, label_form: str) -> None:
    images, labels = written.images, written.labels
    images = {
        "(n, h, w)": images,
        "(n, h * w)": images.reshape(len(images), -1),
        "(n, h, w, 1)": images[..., None],
        "(n, 1, h, w)": images[:, None],
        "(n, h, w, 3)": images[..., None].repeat(3, 3),
        "Fortran's order": np.asfortranarray(images),
    }[form]
    labels = {
        "(n,)": labels,
        "(n, 1)": labels[:, None],
        "one-hot": np.eye(128)[written.expected_labels].astype(labels.dtype),
    }[label_form]
    with some_folder("npz") as folder:
        save = np.savez_compressed if packed else np.savez
        save(folder / "a.npz", **dict(zip(names, (images, labels, images, labels), strict=True)))
        assert_round_trip(folder, written)


TARGET = Target(_seeds, _check, _round_trip)
