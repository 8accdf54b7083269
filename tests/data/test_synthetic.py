"""The synthetic digits: the same bytes everywhere, MNIST's conventions, and near enough to real writing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from mpsmnist.data import synthetic
from mpsmnist.data.idx import read_idx
from mpsmnist.data.synthetic import draw, generate

REAL_DATA_DIR = os.environ.get("MPSMNIST_DATA_DIR")
LABELS = np.arange(2000) % 10

# SHA-256 of draw(LABELS) by VERSION, seen with NumPy 1.24, 2.4 and 2.5. A new drawing needs a new VERSION.
CHECKSUMS = {1: "eba767a66b6972217f3a4ca22126ed31483873472e4d5bb2febbc750b0b0e136"}


@pytest.fixture(scope="module")
def digits() -> NDArray[np.uint8]:
    return draw(LABELS)


@pytest.fixture
def small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "TRAIN_SIZE", 300)
    monkeypatch.setattr(synthetic, "TEST_SIZE", 100)


def test_the_bytes_are_pinned(digits: NDArray[np.uint8]) -> None:
    assert hashlib.sha256(digits.tobytes()).hexdigest() == CHECKSUMS[synthetic.VERSION]


def test_an_image_depends_on_its_own_label_and_place_alone(digits: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(draw(LABELS[:7]), digits[:7])
    others = LABELS.copy()
    others[::2] = 9 - others[::2]
    np.testing.assert_array_equal(draw(others)[1::2], digits[1::2])


def test_the_sizes_are_those_of_mnist() -> None:
    assert (synthetic.TRAIN_SIZE, synthetic.TEST_SIZE) == (60_000, 10_000)


@pytest.mark.usefixtures("small_sets")
def test_generate_gives_balanced_shuffled_sets() -> None:
    train_images, train_labels, test_images, test_labels = generate(seed=3)
    for images, labels, size in ((train_images, train_labels, 300), (test_images, test_labels, 100)):
        assert images.shape == (size, 28, 28)
        assert labels.shape == (size,)
        assert images.dtype == labels.dtype == np.uint8
        np.testing.assert_array_equal(np.bincount(labels, minlength=10), size // 10)
        # Shuffled: about one in ten neighbours is equal; in order, none or nearly all would be.
        assert 0.02 < np.mean(labels[1:] == labels[:-1]) < 0.2
    np.testing.assert_array_equal(train_images, draw(train_labels, 3, split="train"))
    np.testing.assert_array_equal(test_images, draw(test_labels, 3, split="test"))


@pytest.mark.usefixtures("small_sets")
def test_generate_repeats_for_a_seed_and_differs_between_seeds() -> None:
    first, again, other = generate(seed=5), generate(seed=5), generate(seed=6)
    for index in range(4):
        np.testing.assert_array_equal(first[index], again[index])
        assert (first[index] != other[index]).any()


@pytest.mark.parametrize("seeds", [(0, 1), (0, -1), (1, 2**32 + 1), (0, 2**63)])
def test_seeds_share_no_image(seeds: tuple[int, int]) -> None:
    first, second = (draw(LABELS[:100], seed) for seed in seeds)
    assert not set(map(bytes, first)) & set(map(bytes, second))


def test_no_image_comes_twice_in_or_between_the_splits(digits: NDArray[np.uint8]) -> None:
    images = {*map(bytes, digits), *map(bytes, draw(LABELS, split="test"))}
    assert len(images) == 2 * len(LABELS)


def test_ink_is_white_on_black_with_soft_edges(digits: NDArray[np.uint8]) -> None:
    assert digits.dtype == np.uint8
    # MNIST: 81% of the pixels are black, the mean is 0.131; the edges of the strokes are grey.
    assert 0.70 < (digits == 0).mean() < 0.85
    assert 0.11 < digits.mean() / 255 < 0.15
    grey = ((digits > 0) & (digits < 255)).sum() / (digits > 0).sum()
    assert 0.3 < grey < 0.8
    assert np.percentile(digits.max(axis=(1, 2)), 5) == 255


def test_a_digit_fills_a_box_of_twenty_pixels(digits: NDArray[np.uint8]) -> None:
    ink = np.greater_equal(digits, 128)
    extents = []
    for axis in (1, 2):
        lines = np.any(ink, axis=axis)
        extents.append(28 - lines[:, ::-1].argmax(axis=1) - lines.argmax(axis=1))
    longer = np.maximum(*extents)
    # Faint ends count as black here, as in MNIST: 18 to 20 for all but 1 in 100 of its digits.
    assert set(longer) <= {18, 19, 20}


def test_the_centre_of_mass_is_central(digits: NDArray[np.uint8]) -> None:
    grey = digits.astype(float)
    for axis in (1, 2):
        centre = (grey.sum(axis=axis) * np.arange(28)).sum(axis=1) / grey.sum(axis=(1, 2))
        # Moved by whole pixels: within half of one of 14, but for the few whose box would leave the image.
        assert (np.abs(centre - 14) <= 0.5 + 1e-9).mean() > 0.97
        assert np.abs(centre - 14).max() < 3


def test_shares_of_the_shapes_of_a_digit_add_up_to_one() -> None:
    shares = np.zeros(10)
    for shape in synthetic._COMPILED:
        shares[shape.digit] += shape.share
    np.testing.assert_allclose(shares, 1)


def test_uniform_and_bell_have_the_moments_they_claim() -> None:
    draws = synthetic._Draws(synthetic._keys(0, "moments", np.arange(40_000, dtype=np.uint64)))
    uniform, bell = draws.uniform(-1, 3), draws.bell(0.5, 3)
    # Five standard errors of each estimate.
    assert abs(uniform.mean() - 1) < 5 * 4 / np.sqrt(12 * 40_000)
    assert -1 <= uniform.min() < -0.99
    assert 2.99 < uniform.max() < 3
    assert abs(bell.mean()) < 5 * 0.5 / np.sqrt(120_000)
    assert abs(bell.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * 120_000)
    correlations = np.corrcoef(np.hstack([uniform, bell]).T) - np.eye(4)
    assert np.abs(correlations).max() < 5 / np.sqrt(40_000)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 10], "labels: got 10 at index 1, expected 0..9"),
        ([-1], "labels: got -1 at index 0, expected 0..9"),
        ([[1]], r"labels: got int64 of shape \(1, 1\), expected integers of shape \(n,\)"),
        ([1.0], r"labels: got float64 of shape \(1,\), expected integers of shape \(n,\)"),
    ],
)
def test_bad_labels_are_named(labels: ArrayLike, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(labels)


def test_a_bad_split_is_named() -> None:
    with pytest.raises(ValueError, match="split: got 'valid', expected 'train' or 'test'"):
        draw([1], split="valid")  # type: ignore[arg-type]


def test_no_labels_give_no_images() -> None:
    assert draw(np.array([], np.uint8)).shape == (0, 28, 28)


def ridge_classifier(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
    """(785, 10): weights of the least-squares fit of one-hot labels to the pixels and a constant."""
    pixels = with_constant(images)
    gram = pixels.T @ pixels + 30 * np.eye(pixels.shape[1])
    return np.linalg.solve(gram, pixels.T @ np.eye(10)[labels])


def with_constant(images: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
    pixels = images.reshape(len(images), -1) / 255
    return np.hstack([pixels, np.ones((len(images), 1))])


@pytest.mark.skipif(REAL_DATA_DIR is None, reason="MPSMNIST_DATA_DIR does not name a folder with real MNIST")
def test_a_linear_classifier_of_synthetic_digits_reads_real_ones() -> None:
    assert REAL_DATA_DIR is not None
    labels = (np.arange(6000) % 10).astype(np.uint8)
    weights = ridge_classifier(draw(labels), labels)
    images = read_idx(Path(REAL_DATA_DIR) / "t10k-images-idx3-ubyte.gz")
    truth = read_idx(Path(REAL_DATA_DIR) / "t10k-labels-idx1-ubyte.gz")
    accuracy = ((with_constant(images) @ weights).argmax(axis=1) == truth).mean()
    # 75% measured; the same fit to 6,000 real digits gives 84%, chance is 10%.
    assert accuracy > 0.7
