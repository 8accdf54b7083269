"""What the network says about a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mpsmnist.predict import load_trainer, predict_picture
from mpsmnist.prediction.pictures import prepare
from support.examples import discs
from support.pictures import drawing, save_weights


def test_a_picture_gets_the_networks_own_probabilities(tmp_path: Path) -> None:
    trainer = save_weights(tmp_path / "run")
    image = prepare(drawing()).pixels  # as MNIST's, and taken as it is
    result = predict_picture(load_trainer(tmp_path / "run", "cpu"), "disc", image)
    expected = trainer.predict(image[np.newaxis])[0]
    assert result.probabilities == expected.tolist()
    assert (result.image, result.digit, result.inverted) == ("disc", int(expected.argmax()), False)


def test_weights_of_another_number_of_classes(tmp_path: Path) -> None:
    save_weights(tmp_path / "run", num_classes=26)
    result = predict_picture(load_trainer(tmp_path / "run", "cpu"), "disc", discs(1)[0][0])
    assert len(result.probabilities) == 26
    assert sum(result.probabilities) == pytest.approx(1, abs=1e-5)
