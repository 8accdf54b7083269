"""How far pictures are from those that a network was trained on."""

from __future__ import annotations

import string

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from mpsmnist.data import synthetic
from mpsmnist.prediction.pictures import prepare
from mpsmnist.training import familiarity
from mpsmnist.training.familiarity import COMMON, LEAST_IMAGES, Familiarity, learn
from support import clean_kinds
from support.memory import peak
from support.not_digits import LOOKALIKES
from support.strokes import write

Images = NDArray[np.uint8]
LETTERS = "".join(letter for letter in string.ascii_letters if letter not in LOOKALIKES)


def digits(count: int, seed: int = 0) -> tuple[Images, NDArray[np.intp]]:
    labels = np.arange(count) % 10
    return synthetic.draw(labels, seed), labels


@pytest.fixture(scope="module")
def known() -> Familiarity:
    found = learn(*digits(3000))
    assert found is not None
    return found


def test_images_like_those_learned_from_are_near(known: Familiarity) -> None:
    near = known.distances(digits(1000, seed=1)[0]) < 1
    assert COMMON - 0.02 < near.mean() < 1


def test_it_takes_little_memory() -> None:
    """Of more images, no more are looked at; all of these at once would take ten times as much."""
    images, labels = (np.tile(part.T, 4).T for part in digits(familiarity.IMAGES // 4))
    assert peak(lambda: learn(images, labels)) < 60e6


def few_pictures(count: int) -> Images:
    return np.tile(digits(count)[0], (-(-LEAST_IMAGES // count), 1, 1))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((LEAST_IMAGES, 28, 28), np.uint8),
        few_pictures(1),
        few_pictures(10),
        few_pictures(60),
        few_pictures(300),
        few_pictures(LEAST_IMAGES).astype(np.float32) / 255,
        few_pictures(LEAST_IMAGES).reshape(-1, 784),
    ],
    ids=["blank", "one picture", "ten pictures", "sixty pictures", "300 pictures", "floats", "flat"],
)
@pytest.mark.filterwarnings("error")
def test_nothing_is_learned_from_what_tells_nothing(images: Images) -> None:
    assert learn(images, np.arange(len(images)) % 10) is None


def letters(text: str) -> Images:
    rng = np.random.default_rng(0)
    drawn = [clean_kinds.black_on_white(write(letter, 0.05, rng), rng) for letter in text]
    return np.stack([prepare(picture).pixels for picture in drawn])


def test_letters_are_far(known: Familiarity) -> None:
    assert (known.distances(letters(3 * LETTERS)) > 1).mean() > 0.85


def test_noise_and_nothing_are_far(known: Familiarity) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    assert known.distances(noise).min() > 1
    assert known.distances(np.zeros((1, 28, 28), np.uint8)) > 1


def test_more_marks_and_holes_are_farther(known: Familiarity) -> None:
    images, _ = digits(200, seed=2)
    spotted = images.copy()
    spotted[:, 1:3, 1:3] = spotted[:, 1:3, 25:27] = spotted[:, 25:27, 1:3] = 255
    farther = known.distances(spotted) - known.distances(images)
    assert np.median(farther) > 0.2


def test_marks_and_holes_are_counted_image_by_image() -> None:
    ring, dots = np.zeros((2, 28, 28), np.uint8)
    ring[5:20, 5:20] = 200
    ring[8:17, 8:17] = 0
    dots[3, 3] = dots[4, 4] = dots[10, 10] = 255  # two of them touch at a corner
    empty = np.zeros((28, 28), np.uint8)
    counted = familiarity._count(np.stack([empty, ring, dots, ring]))
    assert counted.tolist() == [[0, 0], [1, 1], [2, 0], [1, 1]]


def test_it_is_the_same_each_time(known: Familiarity) -> None:
    again = learn(*digits(3000))
    assert again is not None
    for array, other in zip(known, again, strict=True):
        np.testing.assert_array_equal(array, other)


def test_what_is_strange_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 5000 images 500 are kept: by chance that would be one in ten of a few letters among the digits."""
    monkeypatch.setattr(familiarity, "USUAL", 400)
    monkeypatch.setattr(familiarity, "STRANGE", 100)
    images, labels = digits(5000)
    signs = letters("WEMHKXFA")
    images[:80:10] = signs
    found = learn(images, labels)
    assert found is not None
    assert len(found.examples) == 500
    points = familiarity._reduce(signs, found.mean, found.basis)
    assert np.median(found.to_example(points)) < 0.1
    assert np.median(found.distances(signs) / found.to_class(points)) < 0.6


def test_as_many_examples_as_there_may_be_are_kept(known: Familiarity) -> None:
    assert len(known.examples) == 3000 * (familiarity.HELD_OUT - 1) // familiarity.HELD_OUT
    assert known.examples.dtype == np.int8


def test_thick_digits_are_near_once_they_are_prepared(known: Familiarity) -> None:
    images, _ = digits(100, seed=3)
    thick = ndimage.grey_dilation(images, (1, 3, 3))
    prepared = np.stack([prepare(np.kron(image, np.ones((4, 4), np.uint8))).pixels for image in thick])
    assert (known.distances(thick) < 1).mean() < 0.9 < (known.distances(prepared) < 1).mean()


def test_thin_lines_through_digits_make_them_far(known: Familiarity) -> None:
    images, _ = digits(200, seed=2)
    images[:, 9:20:5, 3:25] = 255
    assert (known.distances(images) > 1).mean() > 0.8


def test_images_are_described_alike_in_blocks_of_any_size(
    known: Familiarity, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = digits(100, seed=2)
    whole = known.distances(images)
    monkeypatch.setattr(familiarity, "BLOCK", 7)
    np.testing.assert_allclose(known.distances(images), whole, atol=1e-4)
    assert known.distances(images[:0]).shape == (0,)


def test_only_classes_that_occur_have_a_centre() -> None:
    images, labels = digits(4000)
    odd = labels % 2 == 1
    found = learn(images[odd], labels[odd])
    assert found is not None
    assert len(found.centres) == len(found.whitening) == 5


def test_a_class_of_one_image_does_no_harm() -> None:
    images, labels = digits(3000)
    labels = np.where(np.arange(3000) == 7, 11, labels)
    found = learn(images, labels)
    assert found is not None
    assert (found.distances(digits(500, seed=1)[0]) < 1).mean() > COMMON - 0.03


def test_too_few_images_teach_nothing() -> None:
    assert learn(*digits(LEAST_IMAGES - 1)) is None
