"""Loading data sets: folders, the cache, mirrors that fail in every way, and the synthetic fallback."""

import dataclasses
import gzip
import hashlib
import io
import multiprocessing
import os
import re
import socket
import struct
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import filelock
import numpy as np
import pytest

from http_faults import FaultyServer, closed_port, serving
from mpsmnist.data import DATASETS, Dataset, SyntheticDataWarning, generated, load, mirrors
from mpsmnist.data.sources import SOURCES, Source, SourceFile
from mpsmnist.errors import DatasetError

REAL_DATA_DIR = os.environ.get("MPSMNIST_DATA_DIR")
NAMES = tuple(file.name for file in SOURCES["mnist"].files)
FIELDS = ("train_images", "train_labels", "test_images", "test_labels")

_random = np.random.default_rng(0)
ARRAYS = {
    NAMES[0]: _random.integers(0, 256, (30, 28, 28), np.uint8),
    NAMES[1]: _random.integers(0, 10, 30, np.uint8),
    NAMES[2]: _random.integers(0, 256, (20, 28, 28), np.uint8),
    NAMES[3]: _random.integers(0, 10, 20, np.uint8),
}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


FILES = {name: gzip.compress(idx(array), mtime=0) for name, array in ARRAYS.items()}


def small_mnist(*urls: str) -> Source:
    """MNIST's entry with few images, to be downloaded from the mirrors at `urls`."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    first, second, third, fourth = (SourceFile(name, sums[name], ARRAYS[name].shape) for name in NAMES)
    return dataclasses.replace(SOURCES["mnist"], mirrors=urls, files=(first, second, third, fourth))


def write_set(folder: Path, **changed: np.ndarray) -> Path:
    """Write the four files of the small set, some of them (by field of Dataset) changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for field, name in zip(FIELDS, NAMES, strict=True):
        (folder / name).write_bytes(gzip.compress(idx(changed.get(field, ARRAYS[name]))))
    return folder


def assert_small_set(dataset: Dataset) -> None:
    assert (dataset.name, dataset.num_classes) == ("mnist", 10)
    for field, name in zip(FIELDS, NAMES, strict=True):
        np.testing.assert_array_equal(getattr(dataset, field), ARRAYS[name])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, none of the user's settings, and a mirror that refuses to connect."""
    for name in ("MPSMNIST_DATA_DIR", "MPSMNIST_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("MPSMNIST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(f"http://127.0.0.1:{closed_port()}/"))
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with serving(FILES) as running:
        yield running


@pytest.fixture
def use_mirrors(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Called with behaviours of `server`, makes those the mirrors of mnist, in that order."""

    def use(*behaviours: str) -> None:
        monkeypatch.setitem(SOURCES, "mnist", small_mnist(*map(server.mirror, behaviours)))

    return use


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replaces the drawing of synthetic digits by something quick; grows by the seed of each drawing."""
    seeds: list[int] = []

    def generate(seed: int = 0) -> tuple[np.ndarray, ...]:
        seeds.append(seed)
        return tuple(array + np.uint8(1) for array in ARRAYS.values())

    shapes = {field: array.shape for field, array in zip(FIELDS, ARRAYS.values(), strict=True)}
    monkeypatch.setattr(generated, "_SHAPES", shapes)
    monkeypatch.setattr("mpsmnist.data.synthetic.generate", generate)
    return seeds


def in_cache(cache: Path) -> set[str]:
    """The names of mnist's files in the cache, temporary ones included."""
    return {path.name for path in (cache / "mnist").iterdir()} - {".lock"}


# The data set by name


def test_names() -> None:
    assert DATASETS == ("auto", "mnist", "synthetic")
    with pytest.raises(ValueError, match="name is 'minst', expected one of auto, mnist, synthetic"):
        load("minst")


def test_a_dataset_cannot_be_changed_and_compares_by_identity(tmp_path: Path) -> None:
    dataset = load("mnist", data_dir=write_set(tmp_path))
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"  # type: ignore[misc]
    assert dataset != load("mnist", data_dir=tmp_path)


@pytest.mark.skipif(REAL_DATA_DIR is None, reason="MPSMNIST_DATA_DIR does not name a folder with real MNIST")
def test_real_mnist() -> None:
    dataset = load("mnist", data_dir=REAL_DATA_DIR)
    assert [hashlib.sha256(idx(getattr(dataset, field))).hexdigest() for field in FIELDS] == [
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ]


# A folder of the user's


@pytest.mark.parametrize("name", ["mnist", "auto"])
@pytest.mark.parametrize("given_by", ["argument", "environment"])
def test_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, given_by: str) -> None:
    folder = write_set(tmp_path / "own")
    if given_by == "environment":
        monkeypatch.setenv("MPSMNIST_DATA_DIR", str(folder))
    dataset = load(name, data_dir=folder if given_by == "argument" else None, offline=True)
    assert_small_set(dataset)
    assert dataset.source == str(folder)


@pytest.mark.parametrize("suffix", ["-idx{}-ubyte", ".idx{}-ubyte", "-idx{}-ubyte.gz", ".idx{}-ubyte.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_folder_with_files_under_their_usual_names(tmp_path: Path, suffix: str, packed: bool) -> None:
    for name, array in ARRAYS.items():
        stem = name.split("-idx")[0]
        data = idx(array)
        (tmp_path / (stem + suffix.format(array.ndim))).write_bytes(gzip.compress(data) if packed else data)
    assert_small_set(load("mnist", data_dir=tmp_path))


def test_the_argument_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPSMNIST_DATA_DIR", str(tmp_path / "absent"))
    assert_small_set(load("mnist", data_dir=write_set(tmp_path / "own")))


def test_an_empty_environment_variable_is_an_unset_one(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(cache / "mnist")
    monkeypatch.setenv("MPSMNIST_DATA_DIR", "")
    monkeypatch.chdir(write_set(tmp_path / "here"))
    assert load("mnist").source == str(cache / "mnist")


@pytest.mark.parametrize("name", ["mnist", "auto"])
@pytest.mark.parametrize("given_by", ["data_dir", "MPSMNIST_DATA_DIR"])
@pytest.mark.parametrize("fault", ["absent", "a file", "empty", "incomplete", "broken"])
def test_a_bad_folder_is_an_error_and_nothing_else_is_tried(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, name: str, given_by: str, fault: str
) -> None:
    write_set(cache / "mnist")  # good files elsewhere do not excuse a bad folder
    folder = tmp_path / "own"
    message = f"{given_by} is '{folder}', which "
    if fault == "absent":
        message += "is not a folder"
    elif fault == "a file":
        folder.write_bytes(b"")
        message += "is not a folder"
    elif fault == "empty":
        folder.mkdir()
        message += f"does not contain mnist: missing {', '.join(NAMES)} "
    elif fault == "incomplete":
        (write_set(folder) / NAMES[2]).unlink()
        message += f"does not contain mnist: missing {NAMES[2]} "
    else:
        (write_set(folder) / NAMES[1]).write_bytes(FILES[NAMES[1]][:-5])
        message = f"{folder / NAMES[1]}: damaged gzip data: "
    if given_by == "MPSMNIST_DATA_DIR":
        monkeypatch.setenv(given_by, str(folder))
    with pytest.raises(DatasetError, match=re.escape(message)):
        load(name, data_dir=folder if given_by == "data_dir" else None)


TRAIN, LABELS = ARRAYS[NAMES[0]], ARRAYS[NAMES[1]]
DISAGREEMENTS = {
    "size": (
        {"train_images": TRAIN[:, :27]},
        NAMES[0],
        r"shape \(30, 27, 28\), expected shape \(n, 28, 28\)",
    ),
    "flat": ({"train_images": TRAIN.reshape(30, 784)}, NAMES[0], r"shape \(30, 784\), expected shape"),
    "images_for_labels": ({"test_labels": TRAIN}, NAMES[3], r"shape \(30, 28, 28\), expected shape \(n,\)"),
    "labels_for_images": ({"test_images": LABELS}, NAMES[2], r"shape \(30,\), expected shape \(n, 28, 28\)"),
    "fewer_labels": ({"train_labels": LABELS[:29]}, NAMES[1], "29 labels, expected 30 as in .*train-images"),
    "more_labels": ({"test_labels": LABELS}, NAMES[3], "30 labels, expected 20 as in .*t10k-images"),
    "label_10": (
        {"train_labels": np.where(np.arange(30) == 7, 10, LABELS).astype(np.uint8)},
        NAMES[1],
        "label 10 at index 7, expected 0 to 9",
    ),
    "nothing": ({"test_images": TRAIN[:0], "test_labels": LABELS[:0]}, NAMES[2], "is empty"),
}


@pytest.mark.parametrize(("changed", "culprit", "message"), DISAGREEMENTS.values(), ids=DISAGREEMENTS)
def test_files_that_do_not_agree(
    tmp_path: Path, changed: dict[str, np.ndarray], culprit: str, message: str
) -> None:
    write_set(tmp_path, **changed)
    with pytest.raises(DatasetError, match=f"^{re.escape(str(tmp_path / culprit))}: .*{message}"):
        load("mnist", data_dir=tmp_path)


def test_labels_of_another_type(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / NAMES[1]).write_bytes(
        struct.pack(">BBBBI", 0, 0, 0x0C, 1, 30) + LABELS.astype(">i4").tobytes()
    )
    with pytest.raises(DatasetError, match=f"{NAMES[1]}: holds int32, expected uint8"):
        load("mnist", data_dir=tmp_path)


# Mirrors


def test_download_then_cache(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    use_mirrors("good", "missing")
    dataset = load("auto")
    assert_small_set(dataset)
    assert dataset.source == server.mirror("good")
    assert {name: (cache / "mnist" / name).read_bytes() for name in in_cache(cache)} == FILES
    assert server.requests_to("good") == list(NAMES)

    again = load("auto")
    assert_small_set(again)
    assert again.source == str(cache / "mnist")
    assert server.requests == [f"/good/{name}" for name in NAMES]
    assert capfd.readouterr() == ("", "")


def test_a_complete_cache_is_only_read(cache: Path) -> None:
    write_set(cache / "mnist")
    assert_small_set(load("mnist"))
    assert not (cache / "mnist" / ".lock").exists()


FAULTS = {
    "missing": "404",
    "reset": "reset|broken",
    "wrong": "sent [0-9]+ bytes with SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}",
    "portal": "sent 26 bytes with SHA-256",
    "truncated": "[0-9]+ bytes",
    "short": "sent [0-9]+ bytes with SHA-256",
    "stalled": "timed out",
    "trickling": "too slow: [0-9]+ bytes in ",
    "endless": "sent more than [0-9]+ bytes",
    "silent": "no answer within 1 s|timed out",
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "_CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(mirrors, "_READ_SECONDS", 0.3)
    monkeypatch.setattr(mirrors, "_MIN_BYTES_PER_SECOND", 1e6)


@pytest.mark.parametrize(("fault", "reason"), FAULTS.items())
@pytest.mark.usefixtures("impatient")
def test_a_failing_mirror_is_reported_and_leaves_nothing(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path, fault: str, reason: str
) -> None:
    use_mirrors(fault)
    start = time.monotonic()
    with pytest.raises(DatasetError, match=f"tried:\n  {server.mirror(fault)}{NAMES[0]}: .*({reason})"):
        load("mnist")
    assert time.monotonic() - start < 5
    assert in_cache(cache) == set()
    assert len(server.requests) <= 1  # it is not asked for the other three


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("impatient")
def test_the_next_mirror_makes_up_for_it(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path, fault: str
) -> None:
    use_mirrors(fault, "good")
    dataset = load("mnist")
    assert_small_set(dataset)
    assert dataset.source == server.mirror("good")
    assert in_cache(cache) == set(NAMES)


def test_every_mirror_that_was_tried_is_listed(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    refusing = f"http://127.0.0.1:{closed_port()}/"
    monkeypatch.setitem(
        SOURCES, "mnist", small_mnist(server.mirror("missing"), refusing, server.mirror("portal"))
    )
    with pytest.raises(DatasetError) as caught:
        load("mnist")
    first, *tried = str(caught.value).splitlines()
    absent = cache / "mnist" / NAMES[0]
    assert first == (
        f"mnist is not in the cache ({absent}: cannot be read: No such file or directory)"
        " and it cannot be downloaded; tried:"
    )
    assert [line.split(": ")[0].strip() for line in tried] == [
        mirror + NAMES[0] for mirror in (server.mirror("missing"), refusing, server.mirror("portal"))
    ]
    assert "Connection refused" in tried[1]


def test_mirrors_that_fail_half_way(
    server: FaultyServer, use_mirrors: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second mirror completes what the first began, and both are named."""
    monkeypatch.setattr(
        "http_faults._Handler.wrong",
        lambda handler, body: handler.good(body if handler.path.endswith(NAMES[0]) else b"other"),
    )
    use_mirrors("wrong", "good")
    dataset = load("mnist")
    assert_small_set(dataset)
    assert dataset.source == f"{server.mirror('wrong')} and {server.mirror('good')}"
    assert server.requests_to("wrong") == list(NAMES[:2])
    assert server.requests_to("good") == list(NAMES[1:])


@pytest.mark.parametrize("behaviour", ["get_only", "decoding"])
def test_odd_servers_that_must_work(use_mirrors: Callable[..., None], behaviour: str) -> None:
    use_mirrors(behaviour)
    assert_small_set(load("mnist"))


def test_the_structure_is_checked_after_the_checksum(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    source = small_mnist(server.mirror("portal"))
    digest = hashlib.sha256(b"<html>Please log in</html>").hexdigest()
    files = tuple(dataclasses.replace(file, sha256=digest) for file in source.files)
    monkeypatch.setitem(SOURCES, "mnist", dataclasses.replace(source, files=files))
    with pytest.raises(DatasetError, match="not IDX: starts with 3c 68 74 6d"):
        load("mnist")
    assert in_cache(cache) == set()


@pytest.mark.usefixtures("impatient")
def test_mirrors_that_do_not_answer_are_waited_for_together(
    server: FaultyServer, use_mirrors: Callable[..., None]
) -> None:
    use_mirrors(*["silent"] * 5)
    start = time.monotonic()
    with pytest.raises(DatasetError, match=r"tried:(\n .*(no answer within 1 s|timed out).*){5}$"):
        load("mnist")
    assert time.monotonic() - start < 3
    assert server.requests == []


@pytest.mark.usefixtures("impatient")
def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> None:
        release.wait()
        raise socket.gaierror("let go")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setitem(SOURCES, "mnist", small_mnist(*(f"http://{name}.invalid/" for name in "abc")))
    start = time.monotonic()
    with pytest.raises(DatasetError, match=r"tried:(\n .*no answer within 1 s){3}$"):
        load("mnist")
    assert time.monotonic() - start < 2
    release.set()


def test_a_broken_file_in_the_cache_is_downloaded_again(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path
) -> None:
    broken = write_set(cache / "mnist") / NAMES[2]
    broken.write_bytes(FILES[NAMES[2]][:100])
    with pytest.raises(DatasetError, match=re.escape(f"{broken}: damaged gzip data")):
        load("mnist", offline=True)
    use_mirrors("good")
    assert_small_set(load("mnist"))
    assert server.requests_to("good") == [NAMES[2]]


def test_progress_is_shown_on_a_terminal(
    use_mirrors: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    use_mirrors("good")
    load("mnist")
    assert terminal.getvalue().count("100%") >= len(NAMES)


# Offline


@pytest.mark.parametrize(
    ("argument", "environment", "offline"),
    [
        (True, None, True),
        (None, "1", True),
        (True, "0", True),
        (None, None, False),
        (None, "", False),
        (None, "0", False),
        (False, "1", False),
    ],
)
def test_offline(
    server: FaultyServer,
    use_mirrors: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    argument: bool | None,
    environment: str | None,
    offline: bool,
) -> None:
    use_mirrors("good")
    if environment is not None:
        monkeypatch.setenv("MPSMNIST_OFFLINE", environment)
    if offline:
        with pytest.raises(DatasetError, match=r"mnist is not in the cache .*offline"):
            load("mnist", offline=argument)
        assert server.probes == server.requests == []
    else:
        assert_small_set(load("mnist", offline=argument))


@pytest.mark.parametrize("value", ["yes", "true", "2", " 1"])
def test_offline_by_other_words(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MPSMNIST_OFFLINE", value)
    with pytest.raises(ValueError, match=f"MPSMNIST_OFFLINE is '{value}', expected 1 or 0"):
        load("auto")


# Several processes, and processes that are killed


def _load_in_child(source: Source, ready: Connection, largest_file: int | None) -> None:
    if largest_file is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    SOURCES["mnist"] = source
    ready.send("ready")
    try:
        assert_small_set(load("mnist"))
    except DatasetError as error:
        ready.send(str(error))
    else:
        ready.send("loaded")


def start_loading(source: Source, largest_file: int | None = None) -> tuple[BaseProcess, Connection]:
    """Load `source` as mnist in a process that says "ready", then "loaded" or its DatasetError."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_load_in_child, args=(source, there, largest_file), daemon=True)
    process.start()
    there.close()
    assert here.recv() == "ready"
    return process, here


def test_processes_at_once_download_once(server: FaultyServer, cache: Path) -> None:
    children = [start_loading(small_mnist(server.mirror("gated"))) for _ in range(2)]
    assert server.holding.wait(30)
    time.sleep(0.5)  # long enough for both to want the lock; too short would only make the test easier
    assert server.requests_to("gated") == [NAMES[0]]
    server.release.set()
    assert [pipe.recv() for _, pipe in children] == ["loaded"] * 2
    for process, _ in children:
        process.join()
    assert server.requests_to("gated") == list(NAMES)
    assert in_cache(cache) == set(NAMES)


def test_killed_while_downloading(
    server: FaultyServer, use_mirrors: Callable[..., None], cache: Path
) -> None:
    process, _ = start_loading(small_mnist(server.mirror("stalled")))
    assert server.holding.wait(30)
    process.kill()
    process.join()
    [leftover] = in_cache(cache)
    assert leftover.endswith(".tmp")
    (cache / "mnist" / ".mpsmnist.0123.tmp").write_bytes(b"left by an earlier kill")

    use_mirrors("good")
    assert_small_set(load("mnist"))
    assert in_cache(cache) == set(NAMES)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes")
def test_a_full_disk_is_not_the_mirrors_fault(server: FaultyServer, cache: Path) -> None:
    source = small_mnist(server.mirror("good"), server.mirror("gated"))
    process, pipe = start_loading(source, largest_file=1000)
    assert re.search(r"cannot be downloaded: .*train-images.* cannot be written: File too large", pipe.recv())
    process.join()
    assert in_cache(cache) == set()
    assert server.requests == [f"/good/{NAMES[0]}"]


def test_a_lock_that_is_never_released(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpsmnist.data.cache._LOCK_SECONDS", 0.1)
    held = filelock.FileLock(cache / "mnist" / ".lock")
    (cache / "mnist").mkdir(parents=True)
    with held, pytest.raises(DatasetError, match=r"another process has held .*\.lock for 0 s"):
        load("mnist")


# Synthetic digits


def test_synthetic_is_drawn_once(cache: Path, drawings: list[int]) -> None:
    first, second = load("synthetic"), load("synthetic")
    assert drawings == [0]
    assert (first.name, first.num_classes, first.source) == ("synthetic", 10, "generated")
    assert second.source == str(next((cache / "synthetic").glob("v*.npz")))
    for field, array in zip(FIELDS, ARRAYS.values(), strict=True):
        np.testing.assert_array_equal(getattr(first, field), array + np.uint8(1))
        np.testing.assert_array_equal(getattr(second, field), array + np.uint8(1))


def test_synthetic_of_another_version_is_drawn_anew(
    cache: Path, drawings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    load("synthetic")
    monkeypatch.setattr("mpsmnist.data.synthetic.VERSION", 12345)
    load("synthetic")
    assert drawings == [0, 0]
    assert (cache / "synthetic" / "v12345.npz").exists()


@pytest.mark.parametrize(
    "damage", ["truncated", "flipped", "empty", "other arrays", "other shapes", "a pickle"]
)
def test_damaged_synthetic_digits_are_drawn_anew(cache: Path, drawings: list[int], damage: str) -> None:
    load("synthetic")
    path = next((cache / "synthetic").glob("v*.npz"))
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(data[:-1000])
    elif damage == "flipped":
        data[5000] ^= 1
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other arrays":
        np.savez(path, images=TRAIN)
    elif damage == "other shapes":
        np.savez(path, **{field: LABELS for field in FIELDS})
    else:
        np.savez(path, **{field: np.array([None]) for field in FIELDS})
    repaired = load("synthetic")
    assert (drawings, repaired.source) == ([0, 0], "generated")
    assert load("synthetic").source == str(path)
    assert drawings == [0, 0]


def test_synthetic_has_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"data_dir is '{tmp_path}', expected None for synthetic digits"):
        load("synthetic", data_dir=tmp_path)


@pytest.mark.usefixtures("drawings")
def test_auto_falls_back_with_a_warning(cache: Path) -> None:
    start = time.monotonic()
    with pytest.warns(SyntheticDataWarning) as caught:
        dataset = load()
    assert time.monotonic() - start < 5
    assert dataset.name == "synthetic"
    text = str(caught[0].message)
    assert [warning.filename for warning in caught] == [__file__]
    expected = (
        "NOT real MNIST",
        "synthetic digits, drawn by the package",
        "Connection refused",
        "--data-dir",
    )
    for part in (*expected, str(cache / "mnist"), *NAMES):
        assert part in text


@pytest.mark.usefixtures("drawings")
def test_auto_offline_falls_back_without_the_network(
    server: FaultyServer, use_mirrors: Callable[..., None]
) -> None:
    use_mirrors("good")
    with pytest.warns(SyntheticDataWarning, match=r"network may not be used \(offline\)"):
        assert load(offline=True).name == "synthetic"
    assert server.probes == server.requests == []


def test_a_cache_that_cannot_be_written(
    server: FaultyServer,
    use_mirrors: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    drawings: list[int],
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MPSMNIST_CACHE_DIR", str(tmp_path / "file" / "cache"))
    use_mirrors("good")
    message = (
        f"the cache folder {re.escape(str(tmp_path))}/file/cache/mnist cannot be written: Not a directory"
    )
    with pytest.raises(DatasetError, match=message):
        load("mnist")
    assert server.probes == server.requests == []

    with pytest.warns(UserWarning, match="not kept for the next run: the cache folder .*Not a directory"):
        assert load("synthetic").source == "generated"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert load("auto").name == "synthetic"
    assert [warning.category for warning in caught] == [SyntheticDataWarning, UserWarning]
    assert drawings == [0, 0]
