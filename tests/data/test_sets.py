"""The other datasets: their quirks, class names and archives."""

from __future__ import annotations

import gzip
import io
import os
import re
import string
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpsmnist.data import DATASETS, Dataset, load, sources, transfer
from mpsmnist.data.sources import SOURCES
from mpsmnist.errors import DatasetError
from support.http_faults import FaultyServer, serving
from support.small_mnist import holding_the_lock
from support.small_sets import EMNIST, TRAIN_IMAGES, SmallSet, small_set

OTHERS = tuple(name for name in SOURCES if name != "mnist")
DIGITS = list(string.digits)
MERGED = [*DIGITS, *string.ascii_uppercase, *"abdefghnqrt"]

Serve = Callable[..., tuple[FaultyServer, SmallSet]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Call it with a name, and behaviours of mirrors, to have a small set by that name."""
    with serving({}) as server:

        def start(name: str, *behaviours: str) -> tuple[FaultyServer, SmallSet]:
            small = small_set(name)
            server.files = small.served
            mirrors = map(server.mirror, behaviours or ("good",))
            monkeypatch.setitem(SOURCES, name, small.from_mirrors(*mirrors))
            return server, small

        yield start


def assert_same(dataset: Dataset, small: SmallSet) -> None:
    n = TRAIN_IMAGES
    np.testing.assert_array_equal(dataset.train_images, small.images[:n])
    np.testing.assert_array_equal(dataset.train_labels, small.labels[:n])
    np.testing.assert_array_equal(dataset.test_images, small.images[n:])
    np.testing.assert_array_equal(dataset.test_labels, small.labels[n:])


@pytest.mark.parametrize("name", OTHERS)
def test_images_are_upright_and_labels_count_from_0(serve: Serve, name: str) -> None:
    server, small = serve(name)
    for dataset in (load(name), load(name, offline=True)):  # downloaded, and from the cache
        assert_same(dataset, small)
        assert dataset.name == name
        for array in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
            assert array.dtype == np.uint8
            assert array.flags.c_contiguous  # or a Trainer would copy all images at each call
    assert server.requests_to("good") == list(small.served)


CLASSES = {
    "mnist": DIGITS,
    "fashion-mnist": [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    "kmnist": ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
    "qmnist": DIGITS,
    "emnist-balanced": MERGED,
    "emnist-letters": list(string.ascii_uppercase),
    "emnist-digits": DIGITS,
    "emnist-mnist": DIGITS,
    "emnist-bymerge": MERGED,
    "emnist-byclass": [*DIGITS, *string.ascii_uppercase, *string.ascii_lowercase],
}


def test_classes() -> None:
    assert list(DATASETS) == ["auto", *CLASSES, "custom", "synthetic"]
    assert {name: list(source.classes) for name, source in SOURCES.items()} == CLASSES
    sizes = [10, 10, 10, 10, 47, 26, 10, 10, 47, 62]
    assert [source.num_classes for source in SOURCES.values()] == sizes


def test_every_entry_says_what_it_is() -> None:
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.title
        assert source.licence
        assert source.homepage.startswith("http")
        assert all(mirror.endswith("/") for mirror in source.mirrors)
        for file in source.downloads:
            algorithm = "md5" if name == "qmnist" else "sha256"
            digits = 32 if name == "qmnist" else 64
            assert re.fullmatch(f"{algorithm}:[0-9a-f]{{{digits}}}", file.checksum)
    assert len({file for source in SOURCES.values() for file in source.downloads}) == 4 * 4 + 1


def test_emnists_archive_is_downloaded_once_for_all_splits(serve: Serve, cache: Path) -> None:
    for name in EMNIST:
        server, small = serve(name)
        assert_same(load(name), small)
    assert server.requests_to("good") == ["gzip.zip"]
    kept = {"gzip.zip", ".lock", *(f"{name}.npz" for name in EMNIST)}
    assert {path.name for path in (cache / "emnist").iterdir()} == kept


def test_arrays_of_another_split_are_not_used(serve: Serve, cache: Path) -> None:
    """They are made from the same archive."""
    serve("emnist-letters")
    load("emnist-letters")
    os.replace(cache / "emnist" / "emnist-letters.npz", cache / "emnist" / "emnist-balanced.npz")
    _, balanced = serve("emnist-balanced")
    assert_same(load("emnist-balanced", offline=True), balanced)


def test_only_a_splits_own_members_are_read(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = zipfile.ZipFile.open

    def spy(archive: zipfile.ZipFile, member: Any, *args: Any, **kwargs: Any) -> object:
        if isinstance(member, zipfile.ZipInfo):  # else NumPy writes it
            opened.append(member.filename)
        return original(archive, member, *args, **kwargs)

    monkeypatch.setattr(zipfile.ZipFile, "open", spy)
    serve("emnist-digits")
    load("emnist-digits")
    members = [file.member for file in SOURCES["emnist-digits"].files]
    assert opened == members * 2  # to check the download, and to unpack it
    load("emnist-digits")
    assert opened == members * 2


def test_a_member_is_unpacked_once(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """To seek its end, as is done for the size of a file, would be to unpack it."""
    whences = []
    original = zipfile.ZipExtFile.seek

    def spy(member: zipfile.ZipExtFile, offset: int, whence: int = os.SEEK_SET) -> int:
        whences.append(whence)
        return original(member, offset, whence)

    monkeypatch.setattr(zipfile.ZipExtFile, "seek", spy)
    serve("emnist-digits")
    load("emnist-digits")
    assert os.SEEK_END not in whences


@pytest.mark.parametrize("damage", ["truncated", "changed", "no archive", "empty"])
def test_a_damaged_archive_in_the_cache_is_downloaded_again(serve: Serve, cache: Path, damage: str) -> None:
    server, small = serve("emnist-letters")
    load("emnist-letters")
    path = cache / "emnist" / "gzip.zip"
    data = path.read_bytes()
    member = data.index(b"emnist-letters-train-images") + 1000
    changed = data[:member] + bytes(100) + data[member + 100 :]
    damaged = {"truncated": data[: len(data) // 2], "changed": changed, "no archive": b"<html>", "empty": b""}
    path.write_bytes(damaged[damage])
    (cache / "emnist" / "emnist-letters.npz").unlink()
    with pytest.raises(DatasetError, match=rf"emnist-letters is not in the cache \({re.escape(str(path))}: "):
        load("emnist-letters", offline=True)
    assert_same(load("emnist-letters"), small)
    assert server.requests_to("good") == ["gzip.zip"] * 2


@pytest.mark.parametrize("name", ["qmnist", "emnist-balanced"])
def test_what_is_not_the_right_file_is_refused(serve: Serve, cache: Path, name: str) -> None:
    algorithm, digits = ("MD5", 32) if name == "qmnist" else ("SHA-256", 64)
    server, _ = serve(name, "wrong")
    words = f"sent [0-9]+ bytes with {algorithm} [0-9a-f]{{{digits}}}, expected [0-9a-f]{{{digits}}}; "
    with pytest.raises(DatasetError, match=words):
        load(name)
    assert not list(cache.glob("*/*z*"))
    serve(name, "wrong", "good")
    assert load(name).source == server.mirror("good")


@pytest.mark.parametrize("label", [0, 27])
def test_a_label_out_of_range_is_named_as_the_file_has_it(tmp_path: Path, serve: Serve, label: int) -> None:
    _, small = serve("emnist-letters")
    (tmp_path / "gzip.zip").write_bytes(_with_label(small.served["gzip.zip"], label))
    message = rf"gzip\.zip: gzip/emnist-letters-train-labels-.*: label {label} at index 7, expected 1 to 26"
    with pytest.raises(DatasetError, match=message):
        load("emnist-letters", data_dir=tmp_path)


def _with_label(archive: bytes, label: int) -> bytes:
    """The archive with that label at index 7 of the training labels of letters."""
    name = "gzip/emnist-letters-train-labels-idx1-ubyte.gz"
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(result, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == name:
                plain = bytearray(gzip.decompress(data))
                plain[8 + 7] = label
                data = gzip.compress(bytes(plain), mtime=0)
            new.writestr(info, data)
    return result.getvalue()


def test_an_archive_without_the_split_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as file:
        file.writestr("gzip/emnist-digits-train-images-idx3-ubyte.gz", b"")
    message = r"gzip\.zip: gzip/emnist-letters-train-images-idx3-ubyte\.gz: is missing in the archive"
    with pytest.raises(DatasetError, match=message):
        load("emnist-letters", data_dir=tmp_path)


def test_an_archive_of_several_datasets_needs_a_name(tmp_path: Path) -> None:
    (tmp_path / "gzip.zip").touch()
    message = f"several datasets: {', '.join(EMNIST)}: name one with --dataset"
    with pytest.raises(DatasetError, match=f"{message}$"):
        load(data_dir=tmp_path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            b"<!DOCTYPE html>",
            "it is an HTML or XML page, as servers send in place of a file, expected a ZIP archive",
        ),
        (b"PK\x03\x04" + bytes(100), "damaged ZIP archive, or part of one: File is not a zip file"),
    ],
)
def test_what_is_no_archive_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "gzip.zip"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=rf"^{re.escape(str(path))}: {words}$"):
        load("emnist-letters", data_dir=tmp_path)


def test_a_folder_may_have_the_archive_or_what_was_unpacked(tmp_path: Path, serve: Serve) -> None:
    _, small = serve("emnist-letters")
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "gzip.zip").write_bytes(small.served["gzip.zip"])
    assert_same(load("emnist-letters", data_dir=tmp_path / "packed"), small)
    with zipfile.ZipFile(tmp_path / "packed" / "gzip.zip") as archive:
        archive.extractall(tmp_path)
    assert_same(load("emnist-letters", data_dir=tmp_path / "gzip"), small)


def test_a_member_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """A member whose header claims what the archive cannot hold allocates nothing."""
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as file:
        for entry in SOURCES["emnist-byclass"].files:
            assert entry.member is not None
            file.writestr(entry.member, bytes((0, 0, 8, 3)) + np.array((2**32 - 1, 28, 28), ">u4").tobytes())
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=r"its header declares .* but it can hold at most 16"):
            load("emnist-byclass", data_dir=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_an_archive_that_lies_about_its_members_size_allocates_nothing(tmp_path: Path) -> None:
    member = SOURCES["emnist-byclass"].files[0].member
    assert member is not None
    header = bytes((0, 0, 8, 3)) + np.array((2**20, 28, 28), ">u4").tobytes()
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as file:
        file.writestr(member, header)
        file.getinfo(member).file_size = 2**31 - 1  # in the directory, which is written last
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=r"its header declares .* but it can hold at most"):
            load("emnist-byclass", data_dir=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_images_are_turned_in_place() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2500, 28, 28), np.uint8)
    upright = images.transpose(0, 2, 1).copy()
    turned = SOURCES["emnist-byclass"].decoder.turn(images)
    assert np.shares_memory(turned, images)
    np.testing.assert_array_equal(turned, upright)


def test_a_disk_slower_than_the_network_does_not_fill_the_memory() -> None:
    size = 32 << 20
    with serving({"large": bytes(size)}) as server:
        tracemalloc.start()
        try:
            with closing(transfer.Request("GET", server.mirror("good") + "large", size)) as request:
                chunks = request.chunks()
                received = len(next(chunks))
                time.sleep(0.5)  # too short would only make the test easier
                assert tracemalloc.get_traced_memory()[1] < 8 << 20
                assert received + sum(map(len, chunks)) == size
        finally:
            tracemalloc.stop()


def test_a_transfer_that_nobody_reads_ends_when_it_is_closed() -> None:
    with serving({"large": bytes(32 << 20)}) as server:
        request = transfer.Request("GET", server.mirror("good") + "large", 32 << 20)
        time.sleep(0.2)
        request.close()
        request._thread.join(10)
        assert not request._thread.is_alive()


@pytest.mark.parametrize(("name", "minutes"), [("mnist", 10), ("emnist-digits", 36)])
def test_another_process_has_the_time_that_its_download_takes(
    cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, minutes: int
) -> None:
    folder = cache / SOURCES[name].cached_in
    times = iter(np.arange(0, 10_000, 10.0))
    monkeypatch.setattr("mpsmnist.data.cache.time.monotonic", lambda: next(times))
    monkeypatch.setattr("mpsmnist.data.cache.time.sleep", lambda _: None)
    with (
        holding_the_lock(folder),
        pytest.raises(DatasetError, match=r"another process has held .* for ") as caught,
    ):
        load(name)
    seconds = int(re.findall(r"for ([0-9]+) s", str(caught.value))[0])
    assert round(seconds / 60) == minutes


def test_large_files_may_take_longer_than_an_hour() -> None:
    with serving({}) as server:
        hours = []
        for limit in (200 << 20, sources._EMNIST_ZIP.largest):
            with closing(transfer.Request("GET", server.mirror("missing"), limit)) as request:
                hours.append(request._allowed(limit) / 3600)
    assert hours[0] == 1
    assert 2 < hours[1] < 3
