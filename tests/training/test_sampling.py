"""The sampler: pure, uniform, the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from mpsmnist._core import splitmix64
from mpsmnist.training.sampling import SAMPLINGS, Sampler


def make(sampling: str, size: int = 50, batch_size: int = 16, seed: int = 0) -> Sampler:
    return Sampler(sampling, size=size, batch_size=batch_size, seed=seed)  # type: ignore[arg-type]


def test_splitmix64_gives_the_published_outputs() -> None:
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert splitmix64(1234567, np.arange(4, dtype=np.uint64)).tolist() == expected


def test_splitmix64_takes_the_largest_seed() -> None:
    assert splitmix64(2**64 - 1, np.zeros(1, np.uint64)).tolist() == [16490336266968443936]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("replacement", [[3, 1, 9, 9], [8, 1, 9, 4], [0, 1, 8, 8]]),
        ("shuffle", [[3, 1, 0, 8], [7, 6, 8, 9], [7, 4, 5, 0]]),
    ],
)
def test_batches_are_pinned(sampling: str, expected: list[list[int]]) -> None:
    assert make(sampling, size=10, batch_size=4, seed=7).batches(1, 3).tolist() == expected


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_batches_do_not_depend_on_how_they_are_asked_for(sampling: str) -> None:
    whole = make(sampling).batches(0, 20)
    assert whole.shape == (20, 16)
    assert whole.dtype == np.int64
    used = make(sampling)
    for step, count in ((0, 3), (3, 1), (4, 9), (13, 7), (0, 2)):  # the last one goes back
        np.testing.assert_array_equal(used.batches(step, count), whole[step : step + count])
        np.testing.assert_array_equal(make(sampling).batches(step, count), whole[step : step + count])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_seeds_differ(sampling: str) -> None:
    batches = [make(sampling, seed=seed).batches(0, 3) for seed in range(20)]
    assert len({batch.tobytes() for batch in batches}) == len(batches)


def test_shuffle_takes_every_image_once_per_epoch_across_batches() -> None:
    draws = make("shuffle", size=50, batch_size=16).batches(0, 25).reshape(8, 50)
    np.testing.assert_array_equal(np.sort(draws, axis=1), np.tile(np.arange(50), (8, 1)))
    assert len({epoch.tobytes() for epoch in draws}) == len(draws)


def test_shuffle_takes_a_batch_larger_than_the_set() -> None:
    draws = make("shuffle", size=3, batch_size=7).batches(0, 3).ravel()
    np.testing.assert_array_equal(np.bincount(draws), [7, 7, 7])


def test_shuffled_orders_are_uniform() -> None:
    """Every image comes first equally often: chi-square of 9 degrees is below its 0.9999 quantile."""
    first = make("shuffle", size=10, batch_size=10).batches(0, 2000)[:, 0]
    counts = np.bincount(first, minlength=10)
    assert ((counts - 200.0) ** 2 / 200).sum() < 33.7


def test_replacement_is_uniform() -> None:
    """As above, with 49 degrees of freedom; and images repeat within a batch, as they must."""
    draws = make("replacement", size=50, batch_size=100).batches(0, 500)
    counts = np.bincount(draws.ravel(), minlength=50)
    assert len(counts) == 50
    assert ((counts - 1000.0) ** 2 / 1000).sum() < 96.0
    assert len(np.unique(draws[0])) < 50


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_set_of_one_image(sampling: str) -> None:
    np.testing.assert_array_equal(make(sampling, size=1, batch_size=2).batches(5, 2), np.zeros((2, 2)))
