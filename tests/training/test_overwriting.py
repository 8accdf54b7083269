"""Checkpoints that exist are not overwritten unasked, and what cannot be written is found before training."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mpsmnist import checkpoint
from mpsmnist.data import Dataset, synthetic
from mpsmnist.train import ConfigError, StepEvent, TrainConfig, resumed_config, train
from support.datasets import small_dataset
from support.devices import null_device
from support.training import SMALL


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good"
    train(TrainConfig(**SMALL, steps=2, checkpoint=path), dataset=small_dataset())
    return path


def train_no_step(config: TrainConfig, words: str) -> None:
    def fail(_: StepEvent) -> None:
        pytest.fail("a step was trained")

    with pytest.raises(ConfigError, match=words):
        train(config, dataset=small_dataset(), on_step=fail)


@pytest.mark.parametrize("link", [False, True])
def test_another_runs_checkpoint_is_kept(good: Path, tmp_path: Path, link: bool) -> None:
    path, before = good, good.read_bytes()
    if link:
        path = tmp_path / "link"
        path.symlink_to(good)
    train_no_step(
        TrainConfig(**SMALL, steps=3, checkpoint=path), "which exists: `overwrite` replaces it, `resume`"
    )
    assert good.read_bytes() == before


def test_it_is_kept_before_data_are_loaded(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> Dataset:
        pytest.fail("data were loaded")

    monkeypatch.setattr("mpsmnist.training.loop.load", load)
    with pytest.raises(ConfigError, match="which exists"):
        train(TrainConfig(**SMALL, steps=3, checkpoint=good))


def test_overwrite_replaces_it_and_keeps_its_mode(good: Path) -> None:
    good.chmod(0o600)
    train(TrainConfig(**SMALL, steps=3, checkpoint=good, overwrite=True), dataset=small_dataset())
    assert checkpoint.load(good).step == 3
    assert stat.S_IMODE(good.stat().st_mode) == 0o600


def test_a_resumed_run_may_replace_its_own_checkpoint_only(good: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(good)
    train(resumed_config(good, steps=3), dataset=small_dataset())
    train(resumed_config(tmp_path / "link", steps=4), dataset=small_dataset())
    train(resumed_config(good, steps=5, checkpoint=tmp_path / "link"), dataset=small_dataset())
    train(resumed_config(good, steps=6, checkpoint=tmp_path / "new"), dataset=small_dataset())
    assert (checkpoint.load(good).step, checkpoint.load(tmp_path / "new").step) == (5, 6)
    train_no_step(resumed_config(good, steps=7, checkpoint=tmp_path / "new"), "new', which exists")
    train(resumed_config(good, steps=7, checkpoint=tmp_path / "new", overwrite=True), dataset=small_dataset())


def test_an_empty_file_is_nobodys_work(tmp_path: Path) -> None:
    """As mktemp makes them."""
    (tmp_path / "run").touch()
    train(TrainConfig(**SMALL, steps=1, checkpoint=tmp_path / "run"), dataset=small_dataset())
    assert checkpoint.load(tmp_path / "run").step == 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_file_is_refused_before_training(tmp_path: Path, overwrite: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to("round")
    ends = os.pipe()
    for path, words in (
        (tmp_path / "pipe", "pipe', which cannot be written: it is a pipe, expected a file"),
        (Path(f"/dev/fd/{ends[1]}"), "which cannot be written: it is a pipe, expected a file"),
        (tmp_path, "which is a folder, expected a file name"),
        (tmp_path / "round", "which cannot be written: .*symbolic links"),
        (tmp_path / ("n" * 256), "which cannot be written: File name too long"),
        (tmp_path / "nu\0ll", "which is no file name: embedded null"),
        (tmp_path / "absent" / "run", "but there is no folder"),
        (tmp_path / "pipe" / "run", "which cannot be written: Not a directory"),
    ):
        train_no_step(TrainConfig(**SMALL, checkpoint=path, overwrite=overwrite), words)
    assert set(os.listdir(tmp_path)) == {"pipe", "round"}
    for end in ends:
        os.close(end)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_device_is_refused_before_training(tmp_path: Path, overwrite: bool) -> None:
    device = null_device(tmp_path)
    words = "which cannot be written: it is a device, expected a file"
    train_no_step(TrainConfig(**SMALL, checkpoint=device, overwrite=overwrite), words)
    assert device.is_char_device()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(ConfigError, match=r"run', but the folder '.*' cannot be written to$") as error:
        train(TrainConfig(**SMALL, checkpoint=tmp_path / "run"), dataset=small_dataset())
    assert str(error.value).count("checkpoint is") == 1


def test_the_longest_name_will_do(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    train(TrainConfig(**SMALL, steps=1, checkpoint=path), dataset=small_dataset())
    assert checkpoint.load(path).step == 1


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_room_for_the_whole_file_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, momentum: float
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("mpsmnist.training.config.rehearse_write", lambda _path, size: asked.append(size))
    path = tmp_path / "run"
    labels = (np.arange(6700) % 10).astype(np.uint8)  # enough for the largest header of ten classes
    data = replace(small_dataset(), train_images=synthetic.draw(labels), train_labels=labels)
    train(TrainConfig(**SMALL | {"momentum": momentum}, steps=1, checkpoint=path), dataset=data)
    assert checkpoint.load(path).familiarity is not None
    size = path.stat().st_size
    assert size <= asked[0] < size + 20_000


@pytest.mark.parametrize(("every", "copies"), [(None, (1, 1)), (1, (2, 1))])
def test_room_is_looked_for_beside_the_save_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int | None, copies: tuple[int, int]
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("mpsmnist.training.config.rehearse_write", lambda _path, size: asked.append(size))
    path = tmp_path / "run"
    config = TrainConfig(**SMALL, steps=2, checkpoint=path, checkpoint_every=every, overwrite=True)
    for _ in copies:  # the second time there is a file, which takes its room already
        train(config, dataset=small_dataset())
    assert tuple(round(size / path.stat().st_size) for size in asked) == copies


@pytest.mark.parametrize("value", [1, "yes", None])
def test_overwrite_is_true_or_false(value: object) -> None:
    with pytest.raises(ConfigError, match=f"overwrite is {value!r}, expected True or False"):
        TrainConfig(overwrite=value)  # type: ignore[arg-type]
