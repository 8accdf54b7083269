"""Files that claim to hold, or unpack to, far more than there is memory."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from support.memory import limits_memory
from support.programs import run_program

MIB = 1 << 20
UNPACKED = 256 * MIB
ROOM = 128 * MIB  # for all that reading them takes

SCRIPT = f"""
import pathlib, resource, sys
from mpsmnist.data import load
from mpsmnist.errors import DatasetError

folder = pathlib.Path(sys.argv[1])
load(data_dir=folder / "good", resize=True)  # what reading imports is there from now on
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {ROOM}, resource.RLIM_INFINITY))
for each in sorted(folder.iterdir()):
    try:
        load(data_dir=each, resize=True)
    except DatasetError as error:
        print(each.name, " ".join(str(error).split()))
"""


def idx_header(*sizes: int) -> bytes:
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, 8, len(sizes), *sizes)


def npy_header(*shape: int) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


def fill(file: IO[bytes], begin: bytes, size: int) -> None:
    file.write(begin)
    for _ in range(size // MIB):
        file.write(b" " * MIB)


def idx_files(folder: Path, images: bytes, packed_size: int = 0) -> None:
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_header(3) + bytes(3))
    if packed_size == 0:
        (folder / "train-images-idx3-ubyte").write_bytes(images)
    else:
        with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb", 1) as file:
            fill(file, images, packed_size)


def archive(folder: Path, images: bytes, size: int) -> None:
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("y_train.npy", npy_header(3) + bytes(3))
        with file.open("x_train.npy", "w") as member:
            fill(member, images, size)


def endless_line(folder: Path) -> None:
    with (folder / "train.csv").open("wb") as file:
        file.truncate(1 << 42)  # takes no place on a disk


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(folder: Path, side: int) -> None:
    size = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(MIB))) + chunk(b"IEND", b"")
    (folder / "0").mkdir()
    (folder / "0" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "idx-claims-4-TB": (
        lambda folder: idx_files(folder, idx_header((1 << 32) - 1, 1 << 10)),
        "4398046510092 bytes, but it can hold at most 12",
    ),
    "gzip-claims-4-TB": (
        lambda folder: idx_files(folder, idx_header((1 << 32) - 1, 1 << 10), MIB),
        "4398046510092 bytes, but it can hold at most",
    ),
    "gzip-goes-on": (
        lambda folder: idx_files(folder, idx_header(3, 28, 28), UNPACKED),
        "has bytes after the 2368 that its header declares",
    ),
    "gzip-holds-it": (
        lambda folder: idx_files(folder, idx_header(UNPACKED // 784, 28, 28), UNPACKED),
        "which do not fit into memory",
    ),
    "gzip-of-tiny-images": (
        lambda folder: idx_files(folder, idx_header(32 * MIB, 1, 1), 32 * MIB),
        "33,554,432 images, expected 1,369,568 at most to scale",
    ),
    "npz-claims-4-TB": (
        lambda folder: archive(folder, npy_header(1 << 42), MIB),
        "4398046511104 bytes, but it can hold at most",
    ),
    "npz-goes-on": (
        lambda folder: archive(folder, npy_header(3, 28, 28), UNPACKED),
        "has bytes after the 2352 of",
    ),
    "npz-holds-it": (
        lambda folder: archive(folder, npy_header(UNPACKED), UNPACKED),
        "which do not fit into memory",
    ),
    "npz-that-fits-once": (
        lambda folder: archive(folder, npy_header(MIB // 8, 28, 28), 98 * MIB),
        "holds more than fits into memory",
    ),
    "npz-of-a-header": (
        lambda folder: archive(folder, b"\x93NUMPY\x02\0" + struct.pack("<I", UNPACKED), UNPACKED),
        "damaged: ",
    ),
    "csv-of-one-line": (endless_line, "line 1 has more than 1,048,576 bytes"),
    "picture": (lambda folder: picture(folder, 30_000), "pixels"),
}


@limits_memory
def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    picture(tmp_path / "good", 30)
    for number in range(3):
        (tmp_path / "good" / "0" / f"{number}.png").write_bytes(
            (tmp_path / "good" / "0" / "a.png").read_bytes()
        )
    for name, (write, _) in BOMBS.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    lines = run_program(SCRIPT, str(tmp_path)).splitlines()
    assert len(lines) == len(BOMBS)
    for line, (name, (_, words)) in zip(lines, sorted(BOMBS.items()), strict=True):
        assert re.match(rf"{name} .*{re.escape(str(tmp_path / name))}.* .*{re.escape(words)}", line), line
