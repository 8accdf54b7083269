"""How far a picture is from the images that a network was trained on.

A picture is described by where its strokes run in which direction, a histogram of oriented gradients (Dalal
and Triggs, 2005), and by how many marks and holes it has. Pixels would not do: in them a letter is no farther
from the digits than a thick pen is. The distance is Mahalanobis's to the nearest class, as Lee et al. (2018)
use it to tell what a network does not know, with covariances shrunk towards the mean one.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

DIRECTIONS = 8  # from 0 to 180 degrees: a stroke's two edges count alike
STEP, SPREAD = 4, 1.5  # pixels from cell to cell of the grid, and the deviation of a cell's Gaussian weights
INK = 64  # of 255: the level from which a pixel belongs to a mark
COMPONENTS = 100  # with 60 of them a third of the scribbles, with 100 a tenth, pass for digits
SHRINKAGE = 0.4
COUNTS_VARIANCE = 0.05  # added to that of marks and holes: of some classes no image has a second mark

IMAGES = 6000  # to learn from: 24,000 tell letters from digits no better, and take four times as long
HELD_OUT = 6  # every sixth only sets the scale
BLOCK = 250  # described at a time: each takes 20 kB meanwhile
LEAST_IMAGES = 2000  # fewer describe no class well
COMMON = 0.99  # this share of held-out images has a distance of at most 1

Images = NDArray[np.uint8]  # (n, 28, 28)
Floats = NDArray[np.floating[Any]]


class Familiarity(NamedTuple):
    """What is known of the training images, in float16: C classes, D numbers that describe an image.

    K is COMPONENTS and the two counts.
    """

    mean: Floats  # (D,)
    basis: Floats  # (D, COMPONENTS)
    centres: Floats  # (C, K)
    whitening: Floats  # (C, K, K)

    def distances(self, images: Images) -> NDArray[np.float64]:
        """(n,), from each image to the nearest class: below 1 for COMMON of those like the ones learned."""
        reduced = _reduce(images, self.mean.astype(np.float32), self.basis.astype(np.float32))
        away = reduced[:, None] - self.centres.astype(np.float32)
        white = np.einsum("nck,cjk->ncj", away, self.whitening.astype(np.float32))
        distances: NDArray[np.float64] = np.sqrt(np.square(white, dtype=np.float64).sum(axis=-1).min(axis=-1))
        return distances


def learn(images: Images, labels: NDArray[np.integer[Any]]) -> Familiarity | None:
    """Describe training images (n, 28, 28) of any classes (n,).

    Returns:
        None of fewer than LEAST_IMAGES, of images that differ too little from each other, and of what is not
        uint8 of that shape, which a Trainer takes too.
    """
    if len(images) < LEAST_IMAGES or images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        return None
    try:
        known = _learn(images, labels)
    except np.linalg.LinAlgError:  # a covariance without an inverse
        return None
    return known if all(np.isfinite(array).all() for array in known) else None


def _learn(images: Images, labels: NDArray[np.integer[Any]]) -> Familiarity:
    chosen = np.random.default_rng(0).permutation(len(images))[:IMAGES]
    held_out, learned = chosen[::HELD_OUT], np.delete(chosen, np.s_[::HELD_OUT])
    described = _describe(images[learned])
    mean = described.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(described - mean, rowvar=False))
    basis = vectors[:, : -COMPONENTS - 1 : -1].astype(np.float32)
    reduced = _reduce(images[learned], mean, basis, described)
    centres, whitening = _classes(reduced, labels[learned])
    raw = Familiarity(mean, basis, centres, whitening)
    with np.errstate(divide="ignore", over="ignore"):
        scaled = raw._replace(whitening=whitening / np.quantile(raw.distances(images[held_out]), COMMON))
        return Familiarity(*(array.astype(np.float16) for array in scaled))


def _classes(reduced: Floats, labels: NDArray[np.integer[Any]]) -> tuple[Floats, Floats]:
    """The centre of each class, (C, K), and what makes its covariance that of white noise, (C, K, K)."""
    classes, members, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    centres = np.stack([reduced[members == index].mean(axis=0) for index in range(len(classes))])
    away = reduced - centres[members]
    common = away.T @ away / len(away)
    common[[-2, -1], [-2, -1]] += COUNTS_VARIANCE
    whitening = []
    for index, size in enumerate(sizes):
        own = away[members == index]
        covariance = SHRINKAGE * common + (1 - SHRINKAGE) * (own.T @ own) / size
        covariance[[-2, -1], [-2, -1]] += COUNTS_VARIANCE
        whitening.append(np.linalg.inv(np.linalg.cholesky(covariance)))
    return centres, np.stack(whitening)


def _reduce(images: Images, mean: Floats, basis: Floats, described: Floats | None = None) -> Floats:
    """(n, K): the principal components, then the counts."""
    described = _describe(images) if described is None else described
    return np.concatenate([(described - mean) @ basis, _count(images)], axis=1)


@cache
def _cells() -> NDArray[np.float32]:
    """(784, cells): the weight of each pixel in each cell of the grid."""
    middles = np.arange(STEP // 2, 28, STEP)
    weights = np.exp(-((np.arange(28)[:, None] - middles) ** 2) / (2 * SPREAD**2))
    weights /= weights.sum(axis=0)
    cells: NDArray[np.float32] = np.einsum("ai,bj->abij", weights, weights).reshape(28 * 28, -1)
    return cells.astype(np.float32)


def _describe(images: Images) -> NDArray[np.float32]:
    """(n, D): how much edge of each direction there is in each cell; the whole has length 1."""
    blocks = range(0, max(1, len(images)), BLOCK)
    return np.concatenate([_describe_block(images[begin : begin + BLOCK]) for begin in blocks])


def _describe_block(images: Images) -> NDArray[np.float32]:
    smooth = ndimage.gaussian_filter(images.astype(np.float32) / 255, (0, 0.7, 0.7))
    down, across = (part.reshape(len(images), -1) for part in np.gradient(smooth, axis=(1, 2)))
    strength = np.hypot(down, across)
    direction = np.arctan2(down, across) % np.float32(np.pi) * np.float32(DIRECTIONS / np.pi)
    parts = []
    for middle in range(DIRECTIONS):  # an edge between two directions counts for both, more for the nearer
        off = np.abs(direction - np.float32(middle))
        parts.append((strength * np.maximum(1 - np.minimum(off, DIRECTIONS - off), 0)) @ _cells())
    described: NDArray[np.float32] = np.sqrt(np.concatenate(parts, axis=1))
    described /= np.maximum(np.linalg.norm(described, axis=1, keepdims=True), 1e-6)
    return described


_TOUCHING = np.zeros((3, 3, 3), bool)  # pixels of one image, also at their corners
_TOUCHING[1] = True
_BESIDE = _TOUCHING & ndimage.generate_binary_structure(3, 1)


def _count(images: Images) -> NDArray[np.float32]:
    """(n, 2): marks and holes."""
    ink = np.pad(images >= INK, ((0, 0), (1, 1), (1, 1)))
    return np.stack([_pieces(ink, _TOUCHING), _pieces(~ink, _BESIDE) - 1], axis=1).astype(np.float32)


def _pieces(mask: NDArray[np.bool_], structure: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(n,): the connected pieces of each mask (n, h, w)."""
    labelled, _ = ndimage.label(mask, structure)
    highest = labelled.max(axis=(1, 2), initial=0)  # labels are given in order, image after image
    return np.diff(np.maximum.accumulate(highest), prepend=0)
