"""The IDX reader: what it reads, and the ways in which a file can be malformed."""

import contextlib
import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mpsmnist.data import read_idx
from mpsmnist.errors import DatasetError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)


def header(kind: int, *sizes: int) -> bytes:
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, kind, len(sizes), *sizes)


def idx(array: np.ndarray) -> bytes:
    return header(0x08, *array.shape) + array.tobytes()


def written(folder: Path, data: bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["images", "images.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_content_and_not_the_name_says_whether_it_is_gzipped(tmp_path: Path, name: str, packed: bool) -> None:
    data = idx(IMAGES)
    array = read_idx(written(tmp_path, gzip.compress(data) if packed else data, name))
    assert array.dtype == np.uint8
    assert array.flags.writeable
    np.testing.assert_array_equal(array, IMAGES)


@pytest.mark.parametrize("shape", [(7,), (3, 2), (0, 28, 28), (2, 1, 3, 1)])
def test_ranks_one_to_four(tmp_path: Path, shape: tuple[int, ...]) -> None:
    expected = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    array = read_idx(written(tmp_path, idx(expected)))
    assert array.shape == shape
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("kind", "stored", "values"),
    [
        (0x08, ">u1", [0, 1, 255]),
        (0x09, ">i1", [-128, -1, 127]),
        (0x0B, ">i2", [-(2**15), 256, 2**15 - 1]),
        (0x0C, ">i4", [-(2**31), 70000, 2**31 - 1]),
        (0x0D, ">f4", [-0.5, 1.0, np.inf]),
        (0x0E, ">f8", [-0.1, 1e-300, np.nan]),
    ],
)
def test_every_type_is_big_endian_and_comes_native(
    tmp_path: Path, kind: int, stored: str, values: list[float]
) -> None:
    expected = np.array([values, values[::-1]], stored)
    array = read_idx(written(tmp_path, header(kind, 2, 3) + expected.tobytes()))
    assert array.dtype == np.dtype(stored).newbyteorder("=")
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, expected)


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    data = idx(IMAGES)
    array = read_idx(written(tmp_path, gzip.compress(data[:1000]) + gzip.compress(data[1000:])))
    np.testing.assert_array_equal(array, IMAGES)


def test_larger_than_one_chunk(tmp_path: Path) -> None:
    expected = np.random.default_rng(1).integers(0, 256, 3_000_001, np.uint8)
    np.testing.assert_array_equal(read_idx(written(tmp_path, gzip.compress(idx(expected), 1))), expected)


def test_required_shape(tmp_path: Path) -> None:
    path = written(tmp_path, idx(IMAGES))
    assert read_idx(path, shape=(None, 28, 28)).shape == (5, 28, 28)
    with pytest.raises(DatasetError, match=r"8-bit integers of shape \(5, 28, 28\), expected shape \(n,\)"):
        read_idx(path, shape=(None,))
    with pytest.raises(DatasetError, match=r"expected shape \(6, 28, 28\)"):
        read_idx(path, shape=(6, 28, 28))


MALFORMED = {
    "empty": (b"", "it is an empty file$"),
    "half_a_magic": (b"\0\0\x08", "truncated in its header: found 3 bytes where 4"),
    "not_idx": (b"\x89PNG\r\n\x1a\n", "not IDX: starts with 89 50 4e 47, expected 00 00"),
    "second_byte": (b"\0\x01\x08\x01" + bytes(8), "not IDX: starts with 00 01 08 01"),
    "rank_0": (header(0x08) + bytes(1), "rank 0, expected 1 to 4"),
    "rank_255": (b"\0\0\x08\xff" + bytes(2000), "rank 255, expected 1 to 4"),
    "half_the_sizes": (idx(IMAGES)[:10], "truncated in its header: found 6 bytes where 12"),
    "header_only": (idx(IMAGES)[:16], r"declares 8-bit integers of shape \(5, 28, 28\), 3936 bytes"),
    "one_byte_short": (idx(IMAGES)[:-1], "3936 bytes, but it can hold at most 3935"),
    "one_byte_more": (idx(IMAGES) + b"\0", "bytes after the 3936 that its header declares"),
    "unknown_type": (
        header(0x42, 1) + bytes(4),
        "unknown IDX type 0x42, expected one of 0x08 .uint8., 0x09 .int8., ",
    ),
    "absurd_sizes_without_items": (header(0x08, 0, 2**32 - 1, 2**32 - 1), "which do not fit into memory"),
    "absurd_sizes": (header(0x08, *[2**32 - 1] * 4), "can hold at most 20"),
    "int32_short": (
        header(0x0C, 3) + bytes(11),
        "32-bit integers of shape .*20 bytes, but it can hold at most 19",
    ),
    "float64_short": (
        header(0x0E, 3) + bytes(23),
        "64-bit floats of shape .*32 bytes, but it can hold at most 31",
    ),
    "gzip_short": (gzip.compress(idx(IMAGES)[:-1]), "truncated: 3935 bytes, expected 3936"),
    "gzip_more": (gzip.compress(idx(IMAGES) + b"\0"), "bytes after the 3936 that its header declares"),
    "gzip_cut": (gzip.compress(idx(IMAGES))[:-2000], "damaged gzip data: .*ended before"),
    "gzip_cut_in_its_end": (gzip.compress(idx(IMAGES))[:-4], "damaged gzip data: .*ended before"),
    "gzip_magic_only": (b"\x1f\x8b", "damaged gzip data"),
    "gzip_crc": (gzip.compress(idx(IMAGES))[:-8] + bytes(8), "damaged gzip data: CRC check failed"),
    "gzip_garbage": (gzip.compress(b"")[:10] + b"\xff" * 50, "damaged gzip data"),
    "gzip_then_junk": (gzip.compress(idx(IMAGES)) + b"junk", "damaged gzip data"),
    "gzip_absurd_sizes": (gzip.compress(header(0x08, *[2**32 - 1] * 4)), "can hold at most"),
    "gzip_not_idx": (gzip.compress(b"hello world"), "not IDX: starts with 68 65 6c 6c"),
}


@pytest.mark.parametrize(("data", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(tmp_path: Path, data: bytes, message: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(DatasetError, match=message) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    plain = idx(IMAGES[:1, :6, :6])
    for data in (plain, gzip.compress(plain)):
        for length in range(len(data)):
            with pytest.raises(DatasetError):
                read_idx(written(tmp_path, data[:length]))


def test_every_flipped_byte_of_gzip_data_is_noticed(tmp_path: Path) -> None:
    data = gzip.compress(idx(IMAGES[:1, :6, :6]), mtime=0)
    for position in range(10, len(data)):  # the gzip header before has fields that mean nothing here
        flipped = bytearray(data)
        flipped[position] ^= 0xFF
        with pytest.raises(DatasetError):
            read_idx(written(tmp_path, bytes(flipped)))


@pytest.mark.parametrize("packed", [False, True])
def test_sizes_that_the_file_cannot_hold_allocate_nothing(tmp_path: Path, packed: bool) -> None:
    data = header(0x08, 1 << 30, 28, 28) + bytes(100_000)
    path = written(tmp_path, gzip.compress(data) if packed else data)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match="can hold at most"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_gzipped_data_unpack_to_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpsmnist.data.idx.MAX_UNPACKED", 1 << 20)
    path = written(tmp_path, gzip.compress(header(0x08, 1 << 20) + bytes(1 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match="1048584 bytes, but it can hold at most 1048576"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 19
    finally:
        tracemalloc.stop()


def test_sizes_that_do_not_fit_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(header(0x08, 1 << 22, 1 << 20))
        file.truncate(12 + (1 << 42))
    with pytest.raises(DatasetError, match="which do not fit into memory"):
        read_idx(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("kind", "bytes_each"), [(0x08, 1), (0x09, 1), (0x0B, 2), (0x0C, 4), (0x0D, 4), (0x0E, 8)]
)
def test_mutations_are_read_or_refused(tmp_path: Path, kind: int, bytes_each: int, packed: bool) -> None:
    """Five hundred files with other sizes, or with a few other bytes, before and after they are gzipped."""
    data = header(kind, 1, 3, 3) + bytes(9 * bytes_each)
    random = np.random.default_rng(0)
    for number in range(500):
        mutated = bytearray(data)
        if number % 2:
            mutated[4:16] = struct.pack(">3I", *random.choice([0, 1, 3, 9, 2**31, 2**32 - 1], 3))
        mutated = bytearray(gzip.compress(mutated, mtime=0)) if packed else mutated
        for position in random.integers(0, len(mutated), random.integers(0, 4)):
            mutated[position] = random.choice([0, 1, 8, 12, 127, 255])
        with contextlib.suppress(DatasetError):
            assert read_idx(written(tmp_path, bytes(mutated))).nbytes <= 1032 * len(data)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="absent: cannot be read: No such file"):
        read_idx(tmp_path / "absent")
    with pytest.raises(DatasetError, match="cannot be read: it is a folder, expected a file"):
        read_idx(tmp_path)
