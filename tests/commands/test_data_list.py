"""`mpsmnist data list`: every dataset, and what the cache has of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mpsmnist.commands.main import main
from mpsmnist.data import DATASETS, load
from mpsmnist.data.sources import SOURCES
from support.commands import Call, json_lines
from support.http_faults import FaultyServer

KNOWN = [name for name in DATASETS if name not in ("auto", "custom")]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, mirror: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "cache"


def listed(call: Call) -> dict[str, list[str]]:
    """The lines about each dataset, and those after them under "end"."""
    code, out, err = call(main, ["data", "list"])
    assert (code, err) == (0, "")
    sets, end = out.split("\n\n")
    found: dict[str, list[str]] = {"end": end.splitlines()}
    for line in sets.splitlines()[1:]:
        if line[0] != " ":
            found[line.split()[0]] = lines = []
        lines.append(line)
    return found


def test_all_that_is_known_is_told_of_each(call: Call) -> None:
    found = listed(call)
    assert list(found)[1:] == KNOWN
    assert found["fashion-mnist"][0].split() == ["fashion-mnist", "10", "60,000", "10,000", "no"]
    assert found["emnist-bymerge"][0].split() == ["emnist-bymerge", "47", "varies", "varies", "no"]
    assert found["synthetic"][0].split() == ["synthetic", "10", "60,000", "10,000", "no"]
    for name, source in SOURCES.items():
        details = " ".join(" ".join(found[name][1:]).split())
        assert details == f"{source.title}; licence: {source.licence}; {source.homepage}"
    assert any("drawn by the package" in line for line in found["synthetic"])


@pytest.mark.parametrize("columns", [40, 60, 80, 81, 200])
def test_lines_are_wrapped(call: Call, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("MPSMNIST_CACHE_DIR", "cache")
    lines = call(main, ["data", "list"])[1].splitlines()
    longest = max(columns, 63)  # the first line and EMNIST's address cannot be broken
    assert max(map(len, lines)) <= longest


def test_what_is_cached_and_how_large_it_is(call: Call, cache: Path) -> None:
    load("mnist")
    load("emnist-letters")
    found = listed(call)
    sizes = {path: path.stat().st_size for path in cache.glob("*/*") if path.name != ".lock"}
    kilobytes = {
        folder: round(sum(size for path, size in sizes.items() if path.parent.name == folder) / 1000)
        for folder in ("mnist", "emnist")
    }
    assert found["mnist"][0].endswith(f"   {kilobytes['mnist']} kB in mnist/")
    assert found["emnist-letters"][0].endswith(f"   {kilobytes['emnist']} kB in emnist/")
    archive = round((cache / "emnist" / "gzip.zip").stat().st_size / 1000)
    assert found["emnist-digits"][0].endswith(
        f"   {archive} kB in emnist/"
    )  # whose arrays are made when it loads
    assert found["qmnist"][0].endswith("   no")
    total = round(sum(sizes.values()) / 1000)
    told = f"cache: {cache}, {total} kB; MPSMNIST_CACHE_DIR moves it"
    assert told in " ".join(found["end"])


def test_what_is_cached_in_part(call: Call, cache: Path) -> None:
    load("mnist")
    (cache / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "   in part: " in listed(call)["mnist"][0]


def test_your_own_data_are_explained(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPSMNIST_DATA_DIR", f"{tmp_path}/a\n\x1b[31m")
    words = " ".join(listed(call)["end"])
    assert words.startswith(
        "custom: data of your own, in the folder that --data-dir or MPSMNIST_DATA_DIR names;"
    )
    assert f"MPSMNIST_DATA_DIR is set: loading reads {tmp_path}/a\\n\\x1b[31m, and not the cache" in words


def test_json_has_a_line_for_each(call: Call, cache: Path) -> None:
    load("qmnist")
    code, out, err = call(main, ["data", "list", "--json"])
    assert (code, err) == (0, "")
    objects = {each["name"]: each for each in json_lines(out)}
    assert list(objects) == KNOWN
    qmnist = objects["qmnist"]
    folder = cache / "qmnist"
    files = [*(folder / file.name for file in SOURCES["qmnist"].files), folder / "qmnist.npz"]
    assert qmnist == {
        "name": "qmnist",
        "title": SOURCES["qmnist"].title,
        "classes": list("0123456789"),
        "train_images": None,  # of the small set in these tests
        "test_images": None,
        "licence": "BSD 3-Clause",
        "homepage": "https://github.com/facebookresearch/qmnist",
        "cached": True,
        "folder": str(folder),
        "files": {str(path): path.stat().st_size for path in files},
    }
    assert (objects["kmnist"]["train_images"], objects["kmnist"]["test_images"]) == (60000, 10000)
    assert (objects["kmnist"]["cached"], objects["kmnist"]["files"]) == (False, {})
    assert (objects["synthetic"]["cached"], objects["synthetic"]["licence"]) == (False, None)


def test_without_a_home_there_is_no_cache(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPSMNIST_CACHE_DIR")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/cache")
    code, out, err = call(main, ["data", "list"])
    assert (code, "mnist  " in out) == (0, True)
    told = "this user has no home folder for the cache: set HOME or MPSMNIST_CACHE_DIR"
    assert err == f"mpsmnist data list: {told}\n"
    assert json.loads(call(main, ["data", "list", "--json"])[1].splitlines()[0])["folder"] is None


def test_a_reader_that_has_seen_enough() -> None:
    words = f"{sys.executable} -m mpsmnist data list | head -n 1; echo $?"
    shell = ["bash", "-o", "pipefail", "-c", words]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False)
    first, code = done.stdout.splitlines()
    assert (first.split()[0], code in ("0", "1"), done.stderr) == ("dataset", True, "")
