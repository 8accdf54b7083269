"""Why answers are unsure."""

from __future__ import annotations

import numpy as np
import pytest

from mpsmnist.data import synthetic
from mpsmnist.data.sources import DIGITS
from mpsmnist.prediction.doubt import FAMILIAR, reason_to_doubt
from mpsmnist.training.familiarity import Familiarity, learn

DIGIT = synthetic.draw([4])[0]
CERTAIN = np.eye(10, dtype=np.float32)[4]
TORN = np.array([0, 0, 0, 0, 0.38, 0, 0, 0.26, 0, 0.36], np.float32)


@pytest.fixture(scope="module")
def known() -> Familiarity:
    labels = np.arange(2000) % 10
    found = learn(synthetic.draw(labels), labels)
    assert found is not None
    return found


def test_a_good_digit_is_not_doubted(known: Familiarity) -> None:
    assert reason_to_doubt(CERTAIN, DIGIT, known, DIGITS) is None
    assert reason_to_doubt(CERTAIN, DIGIT, None, DIGITS) is None


def test_no_digit_is_likely(known: Familiarity) -> None:
    for familiarity in (known, None):
        assert reason_to_doubt(TORN, DIGIT, familiarity, DIGITS) == "it could be 4 or 9"
        assert reason_to_doubt(TORN, DIGIT, familiarity, "ABCDEFGHIJ") == "it could be E or J"


def test_unlike_the_training_images_however_probable(known: Familiarity) -> None:
    crossed = DIGIT.copy()
    crossed[::4] = 255
    assert reason_to_doubt(CERTAIN, crossed, known, DIGITS) == "unlike what the network was trained on"


def test_without_the_training_images_nothing_is_said_of_them() -> None:
    assert reason_to_doubt(CERTAIN, np.full((28, 28), 255, np.uint8), None, DIGITS) is None


def test_an_improbable_answer_needs_a_more_familiar_picture(known: Familiarity) -> None:
    labels = np.arange(1000) % 10
    images = synthetic.draw(labels, seed=1)
    distances = known.distances(images)
    near_the_limit = images[np.argmax(np.where(distances < FAMILIAR, distances, 0))]
    unconvinced = np.full(10, 0.48 / 9, np.float32)
    unconvinced[4] = 0.52
    assert reason_to_doubt(CERTAIN, near_the_limit, known, DIGITS) is None
    assert reason_to_doubt(unconvinced, near_the_limit, known, DIGITS) is not None
    assert reason_to_doubt(unconvinced, DIGIT, known, DIGITS) is None
