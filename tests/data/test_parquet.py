"""Parquet tables as the Hugging Face hub has them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mpsmnist.data import load
from mpsmnist.errors import DatasetError
from support.memory import peak
from support.small_mnist import ARRAYS, LABELS, NAMES, TRAIN, assert_small_set

pa = pytest.importorskip("pyarrow", reason="pyarrow, of the extra `parquet`, is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow, of the extra `parquet`, is not installed")

TEST, TEST_LABELS = ARRAYS[NAMES[2]], ARRAYS[NAMES[3]]


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, images: list[Any], labels: list[Any], names: list[str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"image": images, "label": labels})
    if names is not None:
        features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, path)
    return path


def as_hub(images: np.ndarray) -> list[dict[str, Any]]:
    return [{"bytes": png(image), "path": None} for image in images]


@pytest.mark.parametrize("below", ["", "mnist", "data"])
def test_the_hubs_tables(tmp_path: Path, below: str) -> None:
    folder = tmp_path / below
    write(folder / "train-00000-of-00002.parquet", as_hub(TRAIN[:20]), LABELS[:20].tolist())
    write(folder / "train-00001-of-00002.parquet", as_hub(TRAIN[20:]), LABELS[20:].tolist())
    write(folder / "test-00000-of-00001.parquet", as_hub(TEST), TEST_LABELS.tolist())
    (folder / "README.md").touch()
    dataset = load(data_dir=tmp_path)
    assert_small_set(dataset, "custom")
    assert dataset.source == str(folder)


def test_names_of_classes(tmp_path: Path) -> None:
    path = tmp_path / "all.parquet"
    write(path, [png(image) for image in TRAIN], (LABELS % 3).tolist(), ["cat", "dog", "eel"])
    dataset = load(data_dir=tmp_path)
    assert dataset.classes == ("cat", "dog", "eel")
    assert len(dataset.test_images) == 5
    write(path, as_hub(TRAIN), LABELS.tolist(), ["cat", "dog", "eel"])
    with pytest.raises(DatasetError, match=r"all.parquet: label \d at index \d, expected 0 to 2"):
        load(data_dir=tmp_path)


@pytest.mark.parametrize("name", ["", "a", "\x07"])
def test_names_that_say_nothing(tmp_path: Path, name: str) -> None:
    write(tmp_path / "all.parquet", as_hub(TRAIN), (LABELS % 3).tolist(), ["a", "b", name])
    words = "cannot be printed" if name != "a" else "several classes have the same name: a, a, b"
    with pytest.raises(DatasetError, match=words):
        load(data_dir=tmp_path)


def test_too_many_names(tmp_path: Path) -> None:
    names = [str(number) for number in range(257)]
    write(tmp_path / "all.parquet", as_hub(TRAIN), (LABELS % 3).tolist(), names)
    with pytest.raises(DatasetError, match=r"has 257 classes, expected at most 256"):
        load(data_dir=tmp_path)


def test_pictures_beside_the_table(tmp_path: Path) -> None:
    for index, image in enumerate(TRAIN):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    paths = [{"bytes": None, "path": f"{index}.png"} for index in range(30)]
    write(tmp_path / "train.parquet", paths, LABELS.tolist())
    write(tmp_path / "test.parquet", as_hub(TEST), TEST_LABELS.tolist())
    assert_small_set(load(data_dir=tmp_path), "custom")
    for place in ("../x.png", "/etc/passwd"):
        write(tmp_path / "train.parquet", [{"bytes": None, "path": place}], [0])
        with pytest.raises(DatasetError, match=rf"row 0: its picture '{place}' is not in the table's folder"):
            load(data_dir=tmp_path)


GOOD = as_hub(TRAIN[:3])
BAD: dict[str, tuple[list[Any], list[Any], str]] = {
    "no picture": (
        [{"bytes": None, "path": None}],
        [0],
        "row 0: has no picture, expected its bytes or its path",
    ),
    "numbers": ([[1, 2, 3]], [0], "row 0: has no picture"),
    "broken picture": (
        [*GOOD[:2], {"bytes": GOOD[2]["bytes"][:90], "path": None}],
        [0, 1, 2],
        "row 2: cannot be",
    ),
    "words": (GOOD, ["a", "b", "c"], "row 0: label 'a', expected a whole number"),
    "no label": (GOOD, [0, 1, None], "row 2: label None, expected a whole number"),
    "negative": (GOOD, [0, -1, 2], "label -1 at index 1, expected 0 to 255"),
    "large": (as_hub(TRAIN.repeat(2, 1).repeat(2, 2)), LABELS.tolist(), "row 0: 56 x 56 pixels, .* --resize"),
    "nothing": ([], [], "is empty, expected at least one image"),
}


@pytest.mark.parametrize(("images", "labels", "words"), BAD.values(), ids=BAD)
def test_bad_tables(tmp_path: Path, images: list[Any], labels: list[Any], words: str) -> None:
    write(tmp_path / "train.parquet", images, labels)
    with pytest.raises(DatasetError, match=rf"train.parquet: (?:.*{words})"):
        load(data_dir=tmp_path)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", GOOD, [0, 1, 2])
    data = path.read_bytes()
    for bad, kind in ((b"", "an empty file"), (b"<html>", "an HTML or XML page")):
        path.write_bytes(bad)
        with pytest.raises(DatasetError, match=rf"it is {kind}.*, expected a Parquet table"):
            load(data_dir=tmp_path)
    for bad in (data[: len(data) // 2], data[:-1], b"PAR1" * 5):
        path.write_bytes(bad)
        with pytest.raises(DatasetError, match=r"train.parquet: no readable Parquet table: "):
            load(data_dir=tmp_path)
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), path)
    with pytest.raises(DatasetError, match=r"has the columns text, label, expected image and label"):
        load(data_dir=tmp_path)
    path.rename(tmp_path / "test.parquet")
    with pytest.raises(DatasetError, match=r"has tables for tests, but none for training"):
        load(data_dir=tmp_path)


def test_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpsmnist.data.parquet._MAX_ROWS", 29)
    write(tmp_path / "train.parquet", as_hub(TRAIN), LABELS.tolist())
    with pytest.raises(DatasetError, match=r"has more than 29 rows: split it"):
        load(data_dir=tmp_path)


def test_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow unpacks what it needs of one at once."""
    path = write(tmp_path / "train.parquet", as_hub(TRAIN), LABELS.tolist())
    monkeypatch.setattr("mpsmnist.data.parquet.MAX_UNPACKED", 10_000)
    with pytest.raises(
        DatasetError, match=r"a row group of \d\d,\d{3} bytes, expected 10,000 at most: split it"
    ):
        load(data_dir=tmp_path)
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=3)
    assert len(load(data_dir=tmp_path).train_images) > 20


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_a_picture_in_many_rows_is_unpacked_a_few_times_at_once(tmp_path: Path, as_dictionary: bool) -> None:
    """A picture of 1 MB, stored once for 300 rows: in Arrow's memory or in Python's."""
    padded = png(TRAIN[0]) + bytes(1 << 20)
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), pa.array([padded]))
    table = pa.table({"image": rows, "label": [0] * 300})
    pq.write_table(table, tmp_path / "train.parquet", compression="none", store_schema=as_dictionary)
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    try:
        assert peak(lambda: load(data_dir=tmp_path)) + pool.max_memory() < 64 << 20
    finally:
        pa.set_memory_pool(usual)


def test_words_in_it_that_cannot_be_printed(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", GOOD, ["\x1b[31m" * 100] * 3)
    with pytest.raises(DatasetError, match=r"row 0: label '\\x1b\[31m.*\.\.\., expected a whole") as caught:
        load(data_dir=tmp_path)
    assert str(caught.value).isprintable()
    pq.write_table(pa.table({"\x1b[31m": ["a"]}), tmp_path / "train.parquet")
    with pytest.raises(DatasetError, match=r"has the columns \\x1b\[31m, expected image and label"):
        load(data_dir=tmp_path)


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "train.parquet", GOOD, [0, 1, 2])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        DatasetError, match=r"it is a Parquet table: `pip install 'mpsmnist\[parquet\]'` lets it"
    ):
        load(data_dir=tmp_path)
