"""Folders of pictures: one of them any bytes."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mpsmnist.data.folder import read_folder

from . import Target
from .properties import FIXED, Written, load_or_refuse, pairs, some_folder, written_sets

_FORMATS = ("PNG", "BMP", "GIF", "TIFF", "PPM", "JPEG", "WEBP")


def picture(image: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def _square() -> NDArray[np.uint8]:
    image = np.zeros((28, 28), np.uint8)
    image[8:20, 12:16] = 200
    return image


_GOOD = picture(_square())


def _check(data: bytes) -> None:
    most = 1 << 26  # of decoding
    with some_folder("class_folders") as folder:
        for name, each in (("0/a.png", data), ("0/b.png", _GOOD), ("0/c.png", _GOOD), ("1/d.png", _GOOD)):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(each)
        for resize in (False, True):
            load_or_refuse(folder, FIXED + most, resize=resize)


def _seeds() -> list[bytes]:
    image = _square()
    colours = np.stack([image, image // 2, image // 3, 255 - image], 2)
    small = [picture(image[::4, ::4], kind) for kind in _FORMATS]
    return [
        _GOOD,
        *small,
        picture(colours),
        picture(colours[..., :3], "TIFF"),
        picture(image.astype(np.uint16)),
    ]


@given(written_sets(("u1",)), st.sampled_from(["PNG", "BMP", "GIF", "TIFF", "PPM"]))
def _round_trip(written: Written, kind: str) -> None:
    with some_folder("class_folders") as folder:
        for index, (image, label) in enumerate(zip(written.images, written.expected_labels, strict=True)):
            for part in ("train", "test"):
                path = folder / part / str(label) / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture(image, kind))
        dataset = read_folder("auto", folder, resize=written.resize)
    order = np.argsort(written.expected_labels, kind="stable")
    for images, labels in pairs(dataset):
        names = [int(dataset.classes[label]) for label in labels]
        assert names == written.expected_labels[order].tolist()
        np.testing.assert_array_equal(images, written.expected_images[order])


TARGET = Target(_seeds, _check, _round_trip)
