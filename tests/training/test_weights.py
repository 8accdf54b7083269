"""Weights of a Trainer in a script of one's own: saved for predictions and for new runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mpsmnist import CheckpointError, DatasetError, Trainer, checkpoint
from mpsmnist.checkpoint import SavedWeights, load, load_weights, save, save_weights
from mpsmnist.data import synthetic
from mpsmnist.network import MOMENTUM_PREFIX, parameter_shapes
from mpsmnist.page.session import Session
from mpsmnist.predict import load_network, predict_picture
from mpsmnist.train import Event, StartEvent, TrainConfig, train
from support import examples
from support.checks import assert_same_bits, assert_same_state
from support.commands import run
from support.datasets import small_dataset
from support.pictures import drawing, write_png
from support.training import SMALL


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    """One of a loop of one's own, with momentum."""
    trainer = Trainer(device="cpu", init="he", momentum=0.9, seed=3)
    for _ in range(3):
        trainer.step(*examples.discs(4))
    return trainer


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    """As few images as anything is learned from."""
    labels = np.arange(2000) % 10
    return synthetic.draw(labels), labels


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.safetensors"


def test_predictions_are_the_trainers(trainer: Trainer, path: Path) -> None:
    save_weights(path, trainer)
    network = load_network(path, "cpu")
    assert network.classes == tuple("0123456789")
    images, _ = examples.discs(8)
    assert_same_bits(network.trainer.predict(images), trainer.predict(images))
    assert os.listdir(path.parent) == [path.name]


def test_the_file_has_the_weights_alone(trainer: Trainer, path: Path) -> None:
    save_weights(path, trainer)
    state = trainer.state_dict()
    expected = {name: value for name, value in state.items() if not name.startswith(MOMENTUM_PREFIX)}
    assert_same_state(load_file(path), expected)
    saved = load_weights(path)
    assert type(saved) is SavedWeights
    assert (list(saved.state), saved.step) == (list(expected), 3)


def test_the_command_reads_it_and_says_what_it_does_not_know(trainer: Trainer, path: Path) -> None:
    save_weights(path, trainer, classes="ABCDEFGHIJ")
    picture = write_png(path.with_name("a.png"), drawing())
    done = run("predict", picture, "--checkpoint", path, "--device", "cpu")
    assert done.returncode == 0
    assert done.stdout.split(": ")[1][0] in "ABCDEFGHIJ"
    words = f"'{path}' does not know what it was trained on: only improbable answers are unsure"
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_with_the_training_images_unlike_pictures_are_unsure(
    trainer: Trainer, path: Path, digits: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    images, labels = digits
    save_weights(path, trainer, images=images, labels=labels)
    with caplog.at_level("INFO", "mpsmnist"):
        network = load_network(path, "cpu")
    assert caplog.text == ""
    assert network.familiarity is not None
    stripes = np.zeros((120, 120), np.uint8)
    stripes[20:100:20, 20:100] = stripes[20:100, 20:100:20] = 255
    unsure = predict_picture(network, "a grid", stripes).unsure
    assert unsure == "unlike what the network was trained on"


def test_a_run_begins_with_it(trainer: Trainer, path: Path) -> None:
    save_weights(path, trainer)
    begun: list[Event] = []

    def note(event: Event) -> None:
        if isinstance(event, StartEvent):
            begun.append(event)
            state, expected = event.trainer.state_dict(), trainer.state_dict()
            for name in parameter_shapes():
                assert_same_bits(state[name], expected[name])

    train(TrainConfig(**SMALL, steps=1, init_from=path), dataset=small_dataset(), on_event=note)
    assert len(begun) == 1


def test_no_run_is_resumed_from_it(trainer: Trainer, path: Path) -> None:
    save_weights(path, trainer)
    words = r"mine\.safetensors' has weights alone, and no run that could be resumed: .*--init-from PATH"
    with pytest.raises(CheckpointError, match=words):
        load(path)
    with pytest.raises(CheckpointError, match=words):
        train(TrainConfig(**SMALL, resume=path), dataset=small_dataset())


def test_the_page_reads_with_it(trainer: Trainer, path: Path) -> None:
    save_weights(path, trainer)
    session = Session(load_weights(path))
    prediction, steps = session.reader.read(drawing())
    assert (len(prediction.probabilities), steps) == (10, 3)
    with pytest.raises(DatasetError, match="does not say what it was trained on"):
        session.findings(renew=True)
    save(path.with_name("copy"), session.checkpoint())
    assert_same_state(load_weights(path.with_name("copy")).state, load_weights(path).state)


def test_a_checkpoint_is_weights_too(tmp_path: Path) -> None:
    train(TrainConfig(**SMALL, steps=1, checkpoint=tmp_path / "run"), dataset=small_dataset())
    assert isinstance(load_weights(tmp_path / "run"), checkpoint.Checkpoint)


@pytest.mark.parametrize("classes", [("A", "B"), ("A", "B", ""), ("A", "B", 3), "ABCD"])
def test_classes_that_do_not_fit(path: Path, classes: Any) -> None:
    with pytest.raises(ValueError, match=r"^classes: \('A', 'B'.*, expected 3 names$"):
        save_weights(path, Trainer(device="cpu", num_classes=3), classes=classes)
    assert not path.exists()


def test_what_is_no_trainer(path: Path, trainer: Trainer) -> None:
    with pytest.raises(TypeError, match="trainer is a dict, expected a Trainer"):
        save_weights(path, trainer.state_dict())  # type: ignore[arg-type]


def test_standardized_images_are_not_what_predictions_are_made_of(path: Path, trainer: Trainer) -> None:
    assert not trainer.standardized
    with pytest.raises(ValueError, match=r"takes standardized images, but predictions are made of .* 0 to 1"):
        save_weights(path, Trainer(device="cpu", standardized=True))
    assert not path.exists()


BAD_IMAGES: dict[str, tuple[Any, type[Exception], str]] = {
    "no labels": (lambda x, y: {"images": x}, TypeError, "images and labels: one of them is missing"),
    "no images": (lambda x, y: {"labels": y}, TypeError, "images and labels: one of them is missing"),
    "floats": (
        lambda x, y: {"images": x / 255, "labels": y},
        TypeError,
        "dtypes float64 and int64, expected uint8 and",
    ),
    "flat": (
        lambda x, y: {"images": x.reshape(-1, 784), "labels": y},
        ValueError,
        r"shapes \(2000, 784\) and \(2000,\), expected \(n, 28, 28\) and \(n,\)",
    ),
    "fewer labels": (
        lambda x, y: {"images": x, "labels": y[1:]},
        ValueError,
        r"shapes \(2000, 28, 28\) and \(1999,\), expected",
    ),
    "another class": (
        lambda x, y: {"images": x, "labels": y + 1},
        ValueError,
        "labels: from 1 to 10, expected 0 to 9",
    ),
    "few": (
        lambda x, y: {"images": x[1:], "labels": y[1:]},
        ValueError,
        "images: 1999, too few or too much alike, expected 2,000 or more",
    ),
}


@pytest.mark.parametrize("bad", BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_training_images_that_tell_nothing(
    path: Path, trainer: Trainer, digits: tuple[Any, Any], bad: tuple[Any, type[Exception], str]
) -> None:
    make, error, words = bad
    with pytest.raises(error, match=words):
        save_weights(path, trainer, **make(*digits))
    assert not path.exists()


@pytest.mark.parametrize(
    ("entry", "text", "words"),
    [
        ("step", None, "no readable metadata entry 'step'"),
        ("step", "-1", "has step -1"),
        ("step", "true", "has step True"),
        ("step", "9" * 5_000, "'step'"),
        ("classes", None, "no readable metadata entry 'classes'"),
        ("classes", "3", "has classes 3, expected a list of names"),
        ("classes", "[]", "has num_classes 0, which no network has"),
        ("classes", '["A", "B"]', r"has fc1\.weight of shape \(1024, 10\), expected \(1024, 2\)"),
        ("classes", "[0,1,2,3,4,5,6,7,8,9]", r"has classes \[0, 1, .*expected 10 names"),
    ],
)
def test_spoilt_metadata_are_refused(
    trainer: Trainer, path: Path, entry: str, text: str | None, words: str
) -> None:
    metadata = {"format": "mpsmnist weights 1", "step": "3", "classes": json.dumps(list("0123456789"))}
    metadata.pop(entry)
    if text is not None:
        metadata[entry] = text
    save_file({name: trainer.state_dict()[name] for name in parameter_shapes()}, path, metadata)
    with pytest.raises(CheckpointError, match=words):
        load_weights(path)
