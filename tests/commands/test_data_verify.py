"""`mpsmnist data verify`: every bad file of the cache or of a folder is named, and what mends it."""

from __future__ import annotations

import gzip
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mpsmnist.commands.main import main
from mpsmnist.data import load
from mpsmnist.data.sources import SOURCES
from support.commands import Call
from support.datasets import idx_bytes, small_dataset
from support.http_faults import FaultyServer
from support.small_sets import small_set
from support.terminal import Terminal

VERIFY = ["data", "verify"]
IMAGES = "train-images-idx3-ubyte.gz"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, mirror: FaultyServer) -> Path:
    """Has MNIST, QMNIST and EMNIST's letters, of which MNIST is unpacked."""
    folder = tmp_path / "cache"
    load("mnist")
    for name in ("qmnist", "emnist-letters"):
        for file, data in small_set(name).served.items():
            path = folder / SOURCES[name].cached_in / file
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    return folder


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def state(folder: Path) -> dict[Path, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_all_is_right(call: Call, cache: Path) -> None:
    before = state(cache)
    code, out, err = call(main, VERIFY)
    assert (code, err) == (0, "")
    *lines, last = out.splitlines()
    checked = {
        **{f"mnist/{file.name}": "SHA-256" for file in SOURCES["mnist"].files},
        "mnist/mnist.npz": "CRC-32",
        **{f"qmnist/{file.name}": "MD5" for file in SOURCES["qmnist"].files},
        "emnist/gzip.zip": "SHA-256",  # once, of six datasets
    }
    assert lines == [f"{cache}/{name}: right ({sum_})" for name, sum_ in checked.items()]
    assert last == f"checked 10 files in the cache, {cache}: all are right"
    assert state(cache) == before


def test_there_is_nothing(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPSMNIST_CACHE_DIR", f"{tmp_path}/none")
    assert call(main, VERIFY) == (0, f"the cache, {tmp_path}/none, has no datasets\n", "")


@pytest.mark.parametrize(
    ("name", "place", "flaw"),
    [
        (f"mnist/{IMAGES}", 1000, "has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"),
        ("mnist/mnist.npz", 100_000, "is damaged: its CRC-32 is wrong"),
        ("qmnist/qmnist-test-labels-idx2-int.gz", 20, "has MD5 [0-9a-f]{32}, expected [0-9a-f]{32}"),
        ("emnist/gzip.zip", 5000, "has SHA-256 .*"),
    ],
)
def test_a_bad_file_is_named_and_what_mends_it(
    call: Call, cache: Path, name: str, place: int, flaw: str
) -> None:
    flip(cache / name, place)
    code, out, err = call(main, VERIFY)
    assert (code, err) == (1, "")
    [bad] = [line for line in out.splitlines() if "BAD" in line]
    assert bad.startswith(f"{cache}/{name}: BAD: ")
    assert re.fullmatch(flaw, bad.partition("BAD: ")[2])
    *_, conclusion, remedy = out.splitlines()
    assert conclusion == f"checked 10 files in the cache, {cache}: 1 of them is bad"
    folder = name.partition("/")[0]
    dataset = next(source.name for source in SOURCES.values() if source.cached_in == folder)
    assert remedy == f"to mend it: mpsmnist data fetch {dataset}"
    program, *arguments = shlex.split(remedy.removeprefix("to mend it: "))
    assert program == "mpsmnist"
    assert call(main, arguments)[0] == 0
    assert call(main, VERIFY)[0] == 0


def test_what_a_bad_file_is_instead(call: Call, cache: Path) -> None:
    (cache / "mnist" / IMAGES).write_text("<html>Log in</html>")
    flip(cache / "qmnist" / "qmnist-train-labels-idx2-int.gz", 20)
    code, out, _ = call(main, VERIFY, program="python -m mpsmnist")
    assert code == 1
    what = "it is an HTML or XML page, as servers send in place of a file, and has SHA-256 "
    assert f"{cache}/mnist/{IMAGES}: BAD: {what}" in out
    assert out.endswith(
        f"{cache}: 2 of them are bad\nto mend it: python -m mpsmnist data fetch mnist qmnist\n"
    )
    remark = "right (CRC-32), but not made from the downloads beside it: loading makes it anew"
    assert f"{cache}/mnist/mnist.npz: {remark}" in out.splitlines()


def test_what_is_missing_is_told(call: Call, cache: Path) -> None:
    (cache / "qmnist" / "qmnist-train-labels-idx2-int.gz").unlink()
    code, out, _ = call(main, VERIFY)
    assert code == 0
    assert "qmnist: incomplete, without qmnist-train-labels-idx2-int.gz\n" in out
    assert out.endswith("to mend it: mpsmnist data fetch qmnist\n")


def test_other_files_are_named_and_left(call: Call, cache: Path) -> None:
    temporary = cache / "mnist" / ".mpsmnist.0123456789abcdef.tmp"
    left = {
        temporary: "a temporary file, of a process that still writes it or that was killed: not checked",
        cache / "mnist" / "notes\n\x1b[31m": "of no dataset that this version knows",
        cache / "svhn": "of no dataset that this version knows",
    }
    for path in left:
        path.mkdir() if path.name == "svhn" else path.touch()
    code, out, _ = call(main, VERIFY)
    assert (code, out.splitlines()[-1]) == (0, f"checked 10 files in the cache, {cache}: all are right")
    for path, guess in left.items():
        name = str(path).replace("\n", "\\n").replace("\x1b", "\\x1b")
        assert any(line.startswith(f"{name}: {guess}") for line in out.splitlines()), name
        assert path.exists()


def test_a_cache_that_is_no_folder(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MPSMNIST_CACHE_DIR", f"{tmp_path}/file")
    told = f"mpsmnist data verify: [Errno 20] Not a directory: '{tmp_path}/file'\n"
    assert call(main, VERIFY) == (1, "", told)


def test_digits_drawn_by_another_version(call: Call, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = small_set("mnist")[1:3]
    monkeypatch.setattr("mpsmnist.data.synthetic.generate", lambda seed=0: (images, labels, images, labels))
    load("synthetic")
    path = cache / "synthetic" / "synthetic.npz"
    assert f"{path}: right (CRC-32)\n" in call(main, VERIFY)[1]
    monkeypatch.setattr("mpsmnist.data.synthetic.VERSION", 12345)
    code, out, _ = call(main, VERIFY)
    assert code == 0
    assert f"{path}: right (CRC-32), but drawn by another version: loading makes it anew\n" in out


def test_a_terminal_shows_which_file_is_read(
    call: Call, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert call(main, VERIFY)[0] == 0
    assert f"reading {cache}/emnist/gzip.zip" in terminal.getvalue()
    assert terminal.getvalue().split("\r")[-1].strip() == ""


def test_a_folder_is_recognised_by_its_checksums(call: Call, cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    names = [f"{part}-{what}-ubyte" for part in ("train", "test") for what in ("images.idx3", "labels.idx1")]
    for name, data in zip(names, small_set("mnist").served.values(), strict=True):
        (folder / name).write_bytes(data)
    code, out, err = call(main, [*VERIFY, str(folder)])
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:4] == [
        f"{folder}/{name}: right: by its checksum it is {file.name} of mnist"
        for name, file in zip(names, SOURCES["mnist"].files, strict=True)
    ]
    assert lines[4] == f"mnist: 150 training images and 70 test images of 10 classes, in {folder}"
    labels = small_set("mnist").labels
    counts = [np.bincount(part, minlength=10) for part in (labels[:150], labels[150:])]
    for digit, line in enumerate(lines[5:]):
        assert line.split() == [str(digit), str(counts[0][digit]), "+", str(counts[1][digit])]
    assert len(lines) == 15


def test_every_bad_file_of_a_folder_is_named(call: Call, data_dir: Path) -> None:
    lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    bad = {
        "train-images-idx3-ubyte": (b"<!DOCTYPE html><html></html>", "an HTML or XML page"),
        "train-labels-idx1-ubyte": (lfs, "a Git LFS pointer"),
        "t10k-images-idx3-ubyte": ((data_dir / "t10k-images-idx3-ubyte").read_bytes()[:-1], "bytes"),
    }
    for name, (data, _) in bad.items():
        (data_dir / name).write_bytes(data)
    code, out, err = call(main, [*VERIFY, str(data_dir)])
    assert (code, err) == (1, "")  # the error of loading is one of these
    lines = out.splitlines()
    for name, (_, what) in bad.items():
        assert any(line.startswith(f"{data_dir}/{name}: BAD: ") and what in line for line in lines), name
    assert f"{data_dir}/t10k-labels-idx1-ubyte: can be read; its checksum is of no known file" in lines


def test_a_bad_file_beside_data_that_can_be_read(call: Call, data_dir: Path, tmp_path: Path) -> None:
    data = small_dataset()
    names = ("x_train", "y_train", "x_test", "y_test")
    arrays = (data.train_images, data.train_labels, data.test_images, data.test_labels)
    folder = tmp_path / "own"
    folder.mkdir()
    np.savez(folder / "own.npz", **dict(zip(names, arrays, strict=True)))
    older = data_dir.rename(folder / "older")
    (older / "train-images-idx3-ubyte").write_bytes(b"")
    code, out, err = call(main, [*VERIFY, str(folder)])
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"{older}/train-images-idx3-ubyte: BAD: it is an empty file")
    assert f"custom: 50 training images and 20 test images of 10 classes, in {folder}/own.npz" in lines


def test_a_folder_of_pictures(call: Call, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.zeros((40, 40), np.uint8)
            pixels[:10, number : number + 10] = 255
            Image.fromarray(pixels).save(tmp_path / "own" / name / f"{number}.png")
    code, out, err = call(main, [*VERIFY, str(tmp_path / "own")])
    assert (code, out) == (1, "")
    assert "cat/0.png: 40 x 40 pixels, expected 28 x 28: --resize" in err
    code, out, err = call(main, [*VERIFY, str(tmp_path / "own"), "--resize"])
    assert code == 0
    assert out.splitlines() == [
        f"custom: 10 training images and 2 test images of 2 classes, in {tmp_path}/own",
        "  cat         5 + 1",
        "  dog         5 + 1",
    ]


def test_an_archive_of_several_datasets(call: Call, tmp_path: Path, cache: Path) -> None:
    code, out, err = call(main, [*VERIFY, str(cache / "emnist")])
    lines = out.splitlines()
    assert lines[0] == f"{cache}/emnist/gzip.zip: right: by its checksum it is gzip.zip of emnist"
    told = [line.split(":")[0] for line in lines if "training images" in line]
    assert told == [name for name in SOURCES if name.startswith("emnist-")]
    assert (code, err) == (0, "")


def test_a_page_in_place_of_an_archive(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "own" / "gzip.zip"
    path.parent.mkdir()
    path.write_bytes(b"<!DOCTYPE html>")
    page = "it is an HTML or XML page, as servers send in place of a file, expected a ZIP archive"
    assert call(main, [*VERIFY, str(path.parent)]) == (1, f"{path}: BAD: {page}\n", "")


def test_several_datasets_in_a_folder(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("qmnist", "emnist-letters"):
        images, labels = small_set(name)[1:3]
        for part, rows in (("train", slice(150)), ("test", slice(150, None))):
            stored = labels[rows] + np.uint8(name == "emnist-letters")  # which count from 1
            for what, array in (("images-idx3", images[rows]), ("labels-idx1", stored)):
                (folder / f"{name}-{part}-{what}-ubyte.gz").write_bytes(gzip.compress(idx_bytes(array)))
    code, out, err = call(main, [*VERIFY, str(folder)])
    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines() if "training images" in line] == [
        "emnist-letters",
        "qmnist",
    ]


@pytest.mark.parametrize("arguments", [["--resize"], ["--num-classes", "3"]])
def test_how_data_are_read_is_for_a_folder(call: Call, arguments: list[str]) -> None:
    code, out, err = call(main, [*VERIFY, *arguments])
    assert (code, out) == (2, "")
    assert err.endswith("error: name a folder: --num-classes and --resize are for data of your own\n")


def test_without_a_home_there_is_no_cache(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPSMNIST_CACHE_DIR")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/cache")
    told = "this user has no home folder for the cache: set HOME or MPSMNIST_CACHE_DIR"
    assert call(main, VERIFY) == (1, "", f"mpsmnist data verify: {told}\n")


def test_no_folder(call: Call, tmp_path: Path) -> None:
    code, out, err = call(main, [*VERIFY, str(tmp_path / "absent")])
    assert (code, out) == (1, "")
    assert err == f"mpsmnist data verify: the data folder '{tmp_path}/absent' does not exist\n"
    (tmp_path / "empty").mkdir()
    code, out, err = call(main, [*VERIFY, str(tmp_path / "empty")])
    assert (code, out, err.splitlines()[-1]) == (1, "", "  it is empty")
    assert err.startswith(f"mpsmnist data verify: the data folder '{tmp_path}/empty' holds no dataset: ")
