"""Tables of comma-separated numbers."""

from __future__ import annotations

import csv
import io
from typing import Any, Literal, NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpsmnist.data.csv_files import read_csv

from . import Target
from .properties import (
    FIXED,
    Written,
    assert_round_trip,
    load_or_refuse,
    read_or_refuse,
    some_folder,
    written_sets,
)


def _numpys_reading(data: bytes) -> NDArray[Any] | None:
    """Read a table that has a header and its label first; None if it is another or malformed."""
    try:
        text = io.StringIO(data.decode("utf-8-sig"))
        if not text.readline().startswith("label,pixel0,"):
            return None
        with np.errstate(over="ignore"):
            return np.loadtxt(text, delimiter=",", comments=None, ndmin=2).astype(np.float32)
    except (ValueError, UserWarning):
        return None


def _check(data: bytes) -> None:
    with some_folder("csv_table") as folder:
        (folder / "train.csv").write_bytes(data)
        most = FIXED + 100 * len(data)  # of one line; of many, four times: test_own_tables.py
        found = read_or_refuse(lambda: read_csv(folder), folder, most)
        if found is not None and (expected := _numpys_reading(data)) is not None:
            np.testing.assert_array_equal(found.train.labels, expected[:, 0])
            in_order = data.startswith(b"label,pixel0,pixel1,pixel2,pixel3\n")
            if in_order:
                np.testing.assert_array_equal(found.train.images, expected[:, 1:])
        for resize in (False, True):
            load_or_refuse(folder, most, resize=resize)


def _seeds() -> list[bytes]:
    header = b"label,pixel0,pixel1,pixel2,pixel3\n"
    rows = b"0,0,255,0,7\n1,9,0,0,255\n" * 3
    large = b"label," + ",".join(f"pixel{index}" for index in range(784)).encode() + b"\n"
    large += (b"3," + b"0," * 400 + b"200," * 100 + b"0," * 283 + b"0\n") * 3
    return [
        header + rows,
        rows,
        b"\xef\xbb\xbf" + header.replace(b"\n", b"\r\n") + rows.replace(b"\n", b"\r\n\r\n"),
        b'"","1x1","1x2","2x1","2x2","class"\n' + b"1,0.5,0,1e-1,1,2.0\n" * 3,
        large,
    ]


class _Form(NamedTuple):
    """How a table is written."""

    header: str
    quoting: Literal[0, 2]
    line_end: str
    encoding: str
    space: str


_forms = st.builds(
    _Form,
    header=st.sampled_from(["none", "label first", "class last", "numbered", "sorted by letters"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n", "\n\n", " \r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
    space=st.sampled_from(["", " "]),
)


@given(written_sets(("u1", "i4", "f4", "f8"), ("u1", "i8"), orders="="), _forms)
def _round_trip(written: Written, form: _Form) -> None:
    with some_folder("csv_table") as folder:
        for name in ("train.csv", "test.csv"):
            (folder / name).write_bytes(_table(written, form))
        assert_round_trip(folder, written)


def _table(written: Written, form: _Form) -> bytes:
    images = written.images.reshape(len(written.images), -1)
    order = list(range(images.shape[1]))
    if form.header == "sorted by letters":
        order.sort(key=str)
    names: list[str] = [f"pixel{index}" for index in order]
    rows: list[list[Any]] = {
        "none": [],
        "class last": [[*names, "class"]],
        "numbered": [["", "label", *names]],
    }.get(form.header, [["Label", *names]])
    for number, (label, image) in enumerate(
        zip(written.labels.tolist(), images[:, order].tolist(), strict=True)
    ):
        begin = [number, label] if form.header == "numbered" else [label]
        rows.append([*image, float(label)] if form.header == "class last" else [*begin, *image])
    text = io.StringIO()
    csv.writer(text, quoting=form.quoting, lineterminator=form.line_end).writerows(rows)
    return text.getvalue().replace(",", f",{form.space}").encode(form.encoding)


TARGET = Target(_seeds, _check, _round_trip)
