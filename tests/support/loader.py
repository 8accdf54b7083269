"""Downloads and loads a dataset in children that are killed at random times; a program of test_cache.py.

    cd tests && python -m support.loader FOLDER KILLS

Prints a line of JSON: what had been done when children were killed, how often a kill left a temporary file,
how many there were at most, and the files that are left in the end. A file that is not whole is an error.
"""

from __future__ import annotations

import collections
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mpsmnist.data import Dataset, load, mirrors  # noqa: F401 (or each child would import it, which takes long)
from mpsmnist.data.downloaded import read_unpacked
from mpsmnist.data.sources import SOURCES
from mpsmnist.data.stored import checksum_flaw
from support.http_faults import serving
from support.small_mnist import FIELDS, KEPT, NAMES, UNPACKED, packed, small_arrays, small_mnist

IMAGES = (3000, 500)  # enough for writes that take a while


def serve(files: Mapping[str, bytes]) -> str:
    """Serve the files in a process that ends with this one, which has no threads then; returns an address."""
    addresses, address = os.pipe()
    life, alive = os.pipe()
    if os.fork() == 0:
        os.close(alive)
        with serving(files) as server:
            os.write(address, server.mirror("good").encode())
            os.read(life, 1)  # until the other end is closed
        os._exit(0)
    os.close(life)
    return os.read(addresses, 1000).decode()


def start_child() -> int:
    child = os.fork()
    if child == 0:
        load("mnist")
        os._exit(0)
    return child


def is_right(dataset: Dataset, arrays: Mapping[str, np.ndarray]) -> bool:
    pairs = zip(FIELDS, arrays.values(), strict=True)
    return all(np.array_equal(getattr(dataset, field), array) for field, array in pairs)


def examine(folder: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Say how far the children had come; nothing that they have named may be less than whole."""
    source = SOURCES["mnist"]
    whole = [each for each in source.downloads if (folder / each.name).exists()]
    for each in whole:
        assert checksum_flaw(folder / each.name, each) is None
    if (folder / UNPACKED).exists():
        dataset = read_unpacked(source, folder)
        assert dataset is not None
        assert is_right(dataset, arrays)
        return "all"
    return f"{len(whole)} of {len(NAMES)} downloads"


def main(folder: Path, kills: int) -> None:
    arrays = small_arrays(*IMAGES)
    files = packed(arrays)
    os.environ |= {
        "MPSMNIST_CACHE_DIR": str(folder),
        "MPSMNIST_DATA_DIR": "",
        "MPSMNIST_OFFLINE": "",
        "NO_PROXY": "*",
    }
    SOURCES["mnist"] = small_mnist(serve(files), arrays=arrays)
    begin = time.perf_counter()
    os.waitpid(start_child(), 0)
    longest = time.perf_counter() - begin
    chance = random.Random(0)
    moments: collections.Counter[str] = collections.Counter()
    torn = most = 0
    for number in range(kills):
        # What an earlier kill left, nothing at all, or downloads to unpack.
        if (folder / "mnist" / UNPACKED).exists():
            shutil.rmtree(folder / "mnist") if chance.random() < 0.5 else (
                folder / "mnist" / UNPACKED
            ).unlink()
        children = [start_child() for _ in range(1 + number % 2)]
        time.sleep(chance.uniform(0, longest))
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
        left = len(list((folder / "mnist").glob(".mpsmnist.*")))
        torn, most = torn + (left > 0), max(most, left)
        moments[examine(folder / "mnist", arrays) + (" and a part" if left else "")] += 1
    assert is_right(load("mnist"), arrays)
    names = {path.name for path in (folder / "mnist").iterdir()}
    assert names == {*KEPT, ".lock"}, names
    print(json.dumps({"moments": moments, "torn": torn, "most": most, "files": sorted(names)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
