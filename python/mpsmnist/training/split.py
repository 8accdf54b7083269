"""The images of a run: those it trains on, those held out, the test images, and a sample of the first."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..errors import DatasetError
from .sampling import held_out

# As many as MNIST has test images, so that both accuracies are equally exact. To evaluate all 60,000 would
# take a third of the time that an epoch of training takes.
TRAIN_SAMPLE = 10_000


class LabelledImages(NamedTuple):
    """Images and their labels, in the order of Trainer.evaluate()'s arguments."""

    images: NDArray[np.uint8]  # (n, 28, 28)
    labels: NDArray[np.uint8]  # (n,)


@dataclass(frozen=True)
class Split:
    """What is done with which images; `train_sample` are some or all of `train`, for evaluations."""

    train: LabelledImages
    train_sample: LabelledImages
    validation: LabelledImages | None
    test: LabelledImages


def split(dataset: Dataset, validation: int | None, seed: int) -> Split:
    """Hold `validation` training images out: at random, whatever their labels, the same for the same seed.

    Raises:
        DatasetError: the training images, or the test images, are of 0 and 1, not of 0 to 255.
    """
    train = LabelledImages(_of_bytes("training", dataset.train_images), dataset.train_labels)
    test = LabelledImages(_of_bytes("test", dataset.test_images), dataset.test_labels)
    if validation is None:
        return Split(train, _sample(train), None, test)
    chosen = held_out(len(train.images), validation, seed)
    kept = LabelledImages(train.images[~chosen], train.labels[~chosen])
    return Split(kept, _sample(kept), LabelledImages(train.images[chosen], train.labels[chosen]), test)


def nearly_black(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which images (n, 28, 28) have no level above 1: (n,)."""
    dark: NDArray[np.bool_] = images.max(axis=(1, 2), initial=0) <= 1
    return dark


def _of_bytes(name: str, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Check the scale of a whole set; a few images that are nearly black become black.

    The Trainer would refuse a batch or a chunk of nothing but those.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        return images  # which the Trainer judges
    dark = nearly_black(images)
    if not dark.any():
        return images
    if dark.all() and images.any():
        raise DatasetError(f"no pixel of the {name} images is above 1, expected levels of 0 to 255")
    images = images.copy()
    images[dark] = 0
    return images


def _sample(train: LabelledImages) -> LabelledImages:
    """Take TRAIN_SAMPLE images evenly from the whole set, whose order may have a meaning."""
    size = len(train.images)
    if size <= TRAIN_SAMPLE:
        return train
    rows = np.arange(TRAIN_SAMPLE) * size // TRAIN_SAMPLE
    return LabelledImages(train.images[rows], train.labels[rows])
