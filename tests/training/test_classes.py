"""Other classes than the ten digits: from a dataset to the trainer, the checkpoint and a resumed run."""

from __future__ import annotations

import dataclasses
import string
from pathlib import Path

import numpy as np
import pytest

from mpsmnist import checkpoint
from mpsmnist.data import synthetic
from mpsmnist.data.sources import SOURCES
from mpsmnist.training.config import ConfigError, TrainConfig
from mpsmnist.training.familiarity import familiarity_of, learn
from mpsmnist.training.loop import train
from support.datasets import small_dataset

NAMES = {source.num_classes: source.classes for source in SOURCES.values()}


@pytest.mark.parametrize("num_classes", [26, 47, 62])
def test_classes_reach_the_trainer_and_the_checkpoint(tmp_path: Path, num_classes: int) -> None:
    data = dataclasses.replace(small_dataset(num_classes=num_classes), classes=NAMES[num_classes])
    config = TrainConfig(steps=2, device="cpu", checkpoint=tmp_path / "run")
    result = train(config, dataset=data)
    assert result.trainer.num_classes == num_classes
    saved = checkpoint.load(tmp_path / "run")
    assert saved.classes == NAMES[num_classes]
    resumed = TrainConfig(steps=3, device="cpu", checkpoint=tmp_path / "run", resume=tmp_path / "run")
    assert train(resumed, dataset=data).steps == 3


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (string.ascii_lowercase[:10], "class 0 of the dataset is 'a', but 'A' in the run in "),
        ("ABCDEFGHIZ", "class 9 of the dataset is 'Z', but 'J' in the run in "),
        ("ABCDEFGHIJK", "the dataset has 11 classes, but there are 10 in the run in "),
    ],
)
def test_a_run_goes_on_with_its_own_classes(tmp_path: Path, classes: str, words: str) -> None:
    data = dataclasses.replace(small_dataset(), classes=tuple("ABCDEFGHIJ"))
    config = TrainConfig(steps=1, device="cpu", checkpoint=tmp_path / "run")
    train(config, dataset=data)
    resumed = TrainConfig(steps=2, device="cpu", resume=tmp_path / "run")
    with pytest.raises(ConfigError, match=words):
        train(resumed, dataset=dataclasses.replace(data, classes=tuple(classes)))
    new = TrainConfig(steps=1, device="cpu", init_from=tmp_path / "run")
    if len(classes) == 10:  # other names may be learned from the same weights
        train(new, dataset=dataclasses.replace(data, classes=tuple(classes)))


@pytest.mark.parametrize("num_classes", [26, 62])
def test_familiarity_with_many_classes_is_kept(tmp_path: Path, num_classes: int) -> None:
    labels = np.arange(2500) % num_classes
    images = synthetic.draw(labels % 10)
    learned = learn(images, labels)
    assert learned is not None
    assert len(learned.centres) == num_classes
    data = dataclasses.replace(small_dataset(num_classes=num_classes), classes=NAMES[num_classes])
    train(TrainConfig(steps=1, device="cpu", checkpoint=tmp_path / "run"), dataset=data)
    saved = dataclasses.replace(checkpoint.load(tmp_path / "run"), familiarity=learned._asdict())
    checkpoint.save(tmp_path / "run", saved)
    kept = familiarity_of(checkpoint.load(tmp_path / "run"))
    assert kept is not None
    np.testing.assert_array_equal(kept.distances(images[:20]), learned.distances(images[:20]))
