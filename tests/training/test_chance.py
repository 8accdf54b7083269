"""Whether a network has learned anything: the rule, and what the training loop says by it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mpsmnist.train import TrainConfig, train
from mpsmnist.training.chance import FEWEST_STEPS, chance, is_same_answer, learned
from support.datasets import small_dataset
from support.training import SMALL

EVEN = np.repeat(np.arange(10, dtype=np.uint8), 1000)
UNEVEN = np.array([0] * 500 + [3] * 300 + [9] * 200, np.uint8)


def test_chance_is_the_largest_share_and_the_entropy() -> None:
    assert chance(EVEN) == pytest.approx((0.1, math.log(10), 10_000))
    entropy = -sum(share * math.log(share) for share in (0.5, 0.3, 0.2))
    assert chance(UNEVEN) == pytest.approx((0.5, entropy, 1000))


@pytest.mark.parametrize("labels", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_no_constant_answer_beats_chance(labels: np.ndarray) -> None:
    """The best of them, the shares themselves, and a few hundred others."""
    best = chance(labels)
    classes, counts = np.unique(labels, return_counts=True)
    answers = np.random.default_rng(0).dirichlet(np.ones(len(classes)), 300)
    for answer in (counts / len(labels), *answers):
        loss = -(counts / len(labels) * np.log(answer)).sum()
        accuracy = counts[answer.argmax()] / len(labels)
        assert loss > best.loss - 1e-12
        assert not best.is_beaten_by(accuracy, loss)


@pytest.mark.parametrize(
    ("accuracy", "loss", "expected"),
    [
        (0.1, 2.3026, False),
        (0.108, 2.35, False),  # within three standard deviations, 0.009
        (0.11, 2.35, True),  # beyond them
        (0.1, 2.2, True),  # its probabilities know something
        (0.08, 22.2, False),  # after one step of the original recipe
        (0.99, 0.03, True),
        (0.7, 3.0, True),  # right and wrong with too much confidence
    ],
)
def test_what_counts_as_learned(accuracy: float, loss: float, expected: bool) -> None:
    assert learned(FEWEST_STEPS, accuracy, loss, EVEN) is expected


def test_where_it_cannot_be_told() -> None:
    assert learned(FEWEST_STEPS - 1, 0.1, 2.4, EVEN) is None
    assert learned(1000, 1.0, 0.0, np.zeros(10, np.uint8)) is None


def test_the_two_ways_of_not_learning() -> None:
    data = small_dataset()
    for options, same in (({"learning_rate": 0.3, "init": "he"}, True), ({"learning_rate": 1e-7}, False)):
        network = train(TrainConfig(**SMALL | options, steps=100), dataset=data).trainer
        assert is_same_answer(network.predict(data.test_images)) is same


def test_a_run_tells() -> None:
    data = small_dataset()
    assert train(TrainConfig(**SMALL | {"init": "he"}, steps=100), dataset=data).learned is True
    assert train(TrainConfig(**SMALL | {"learning_rate": 3.0}, steps=100), dataset=data).learned is False
    assert train(TrainConfig(**SMALL | {"learning_rate": 1e-9}, steps=100), dataset=data).learned is False
    assert train(TrainConfig(**SMALL | {"learning_rate": 1e-9}, steps=99), dataset=data).learned is None
    assert train(TrainConfig(**SMALL, steps=100), dataset=data, stop=lambda: True).learned is None
