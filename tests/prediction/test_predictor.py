"""What the network says about a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mpsmnist.predict import load_trainer, predict_digits, predict_picture
from mpsmnist.prediction.pictures import prepare
from support.examples import discs
from support.pictures import drawing, save_weights


def test_a_picture_gets_the_networks_own_probabilities(tmp_path: Path) -> None:
    trainer = save_weights(tmp_path / "run")
    image = discs(1)[0][0]
    result = predict_picture(load_trainer(tmp_path / "run", "cpu"), "disc", image)
    np.testing.assert_array_equal(result.pixels, prepare(image).pixels)
    expected = trainer.predict(result.pixels[np.newaxis])[0]
    assert result.probabilities == expected.tolist()
    assert (result.image, result.digit, result.inverted) == ("disc", int(expected.argmax()), False)


def test_the_digits_of_a_picture_are_read_in_their_order(tmp_path: Path) -> None:
    save_weights(tmp_path / "run")
    trainer = load_trainer(tmp_path / "run", "cpu")
    halves = [drawing(120, 120), drawing(120, 120)[:, ::-1]]
    expected = [predict_picture(trainer, "a", half).pixels for half in halves]
    read = predict_digits(trainer, "a", np.hstack(halves))
    assert [prediction.image for prediction in read] == ["a", "a"]
    for prediction, pixels in zip(read, expected, strict=True):
        assert abs(prediction.pixels.astype(int) - pixels).mean() < 3


def test_several_digits_are_a_reason_for_doubt(tmp_path: Path) -> None:
    save_weights(tmp_path / "run")
    two = np.hstack([drawing(120, 120)] * 2)
    unsure = predict_picture(load_trainer(tmp_path / "run", "cpu"), "a", two).unsure
    assert unsure is not None
    assert "--many" in unsure


def test_weights_of_another_number_of_classes(tmp_path: Path) -> None:
    save_weights(tmp_path / "run", num_classes=26)
    result = predict_picture(load_trainer(tmp_path / "run", "cpu"), "disc", discs(1)[0][0])
    assert len(result.probabilities) == 26
    assert sum(result.probabilities) == pytest.approx(1, abs=1e-5)
