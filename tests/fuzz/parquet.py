"""Parquet tables, which pyarrow reads: what is ours is what becomes of its answers."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from . import Target
from .class_folders import picture
from .properties import Written, assert_round_trip, load_or_refuse, some_folder, written_sets

_MOST = 1 << 26


def _table(pictures: list[bytes], labels: list[int], *, as_struct: bool, codec: str, names: bool) -> bytes:
    images = [{"bytes": each, "path": None} for each in pictures] if as_struct else pictures
    table = pa.table({"image": images, "label": labels})
    if names:
        features = {"label": {"names": [f"digit {number}" for number in range(128)], "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression=codec)
    return buffer.getvalue()


def _check(data: bytes) -> None:
    with some_folder("parquet") as folder:
        (folder / "train.parquet").write_bytes(data)
        for resize in (False, True):
            load_or_refuse(folder, _MOST, resize=resize)


def _seeds() -> list[bytes]:
    image = np.zeros((28, 28), np.uint8)
    image[8:20, 12:16] = 200
    pictures = [picture(image), picture(255 - image), picture(image[::2, ::2])]
    return [
        _table(pictures, [0, 1, 1], as_struct=as_struct, codec=codec, names=names)
        for as_struct, codec, names in (
            (True, "none", True),
            (False, "snappy", False),
            (False, "none", False),
        )
    ]


@given(
    written_sets(("u1",)), st.booleans(), st.sampled_from(["none", "snappy", "gzip", "zstd"]), st.booleans()
)
def _round_trip(written: Written, as_struct: bool, codec: str, names: bool) -> None:
    pictures = [picture(image) for image in written.images]
    labels = written.expected_labels.tolist()
    with some_folder("parquet") as folder:
        data = _table(pictures, labels, as_struct=as_struct, codec=codec, names=names)
        for part in ("train", "test"):
            (folder / f"{part}.parquet").write_bytes(data)
        assert_round_trip(folder, written)


TARGET = Target(_seeds, _check, _round_trip)
