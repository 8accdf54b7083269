"""How far a picture is from the images that a network was trained on.

A picture is described by where its strokes run in which direction, a histogram of oriented gradients (Dalal
and Triggs, 2005), and by how many marks and holes it has. Pixels would not do: in them a letter is no farther
from the digits than a thick pen is.

The distance is the mean of two. One is to the nearest class: Mahalanobis's, as Lee et al. (2018) use it to
tell what a network does not know, with covariances shrunk towards the mean one. The other is to the nearest
of 6,000 images that are kept, a third of them the strangest, so that what is rare but good is near, such as a
printed 1 with a foot. With as many digits unsure, 9% of letters pass for digits by the mean of both, and 16%
by either alone; by the first alone, so does a quarter of the scribbles, and a fifth of such 1s are unsure.
Images are taken as they are: prediction/strokes.py makes strokes as wide as those of the training images.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .checkpoint import SavedWeights

BLUR = 0.7  # pixels, the deviation of the Gaussian that images are smoothed with
DIRECTIONS = 8  # from 0 to 180 degrees: a stroke's two edges count alike
STEP, SPREAD = 4, 1.5  # pixels from cell to cell of the grid, and the deviation of a cell's Gaussian weights
INK = 64  # of 255: the level from which a pixel belongs to a mark
COMPONENTS = 100  # with 64, 3 in 100 more of the letters pass for digits, with 140, 2
COUNT = 0.15  # how far one more mark or hole is, where the whole description has length 1
SHRINKAGE = 0.5  # 0.4 to 0.7 are much the same; with 1, 4 in 100 more of the letters pass
COUNTS_VARIANCE = 0.001  # added to that of marks and holes: of some classes no image has a second mark
QUANTUM = 1 / 128  # the unit of kept descriptions, which are int8

IMAGES = 20_000  # to learn from
HELD_OUT = 10  # every tenth only sets the scale
USUAL, STRANGE = 4000, 2000  # are kept: any, which also describe the classes, and the farthest from these
BLOCK = 250  # images at a time: each takes 30 kB meanwhile
LEAST_IMAGES = 2000  # fewer describe no class well
COMMON = 0.99  # this share of held-out images has distances of at most 1, of either kind

Images = NDArray[np.uint8]  # (n, 28, 28)
Floats = NDArray[np.floating[Any]]


class Familiarity(NamedTuple):
    """What is known of the training images, of C classes. D numbers describe an image, K of them are kept.

    K is COMPONENTS and the two counts. All is float16 but for the examples.
    """

    mean: Floats  # (D,)
    basis: Floats  # (D, COMPONENTS)
    centres: Floats  # (C, K)
    whitening: Floats  # (C, K, K), what makes a class's covariance that of white noise
    examples: NDArray[np.int8]  # (m, K), in units of QUANTUM; at most USUAL + STRANGE
    reach: Floats  # (), the distance to an example that is called 1

    def distances(self, images: Images) -> Floats:
        """(n,) float32, from each image to those learned: at most 1 for COMMON or more of those like them."""
        points = _reduce(images, self.mean, self.basis)
        distances: Floats = (self.to_class(points) + self.to_example(points)) / 2
        return distances

    def to_class(self, points: Floats) -> Floats:
        """(n,), from each of the points (n, K) to the nearest class."""
        with np.errstate(over="ignore"):  # infinitely far
            squares = [
                np.square((points - centre) @ whitening.T).sum(axis=1)
                for centre, whitening in zip(*map(_as_float32, (self.centres, self.whitening)), strict=True)
            ]
        nearest: Floats = np.sqrt(np.min(squares, axis=0))
        return nearest

    def to_example(self, points: Floats) -> Floats:
        """(n,), from each of the points (n, K) to the nearest example."""
        return _to_nearest(points, self.examples * np.float32(QUANTUM)) / _as_float32(self.reach)


def familiarity_of(saved: SavedWeights) -> Familiarity | None:
    """Give what the file knows of the training images, None if it knows nothing."""
    return None if saved.familiarity is None else Familiarity(**saved.familiarity)


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
    differ = known.reach > QUANTUM * np.sqrt(known.examples.shape[1])  # more than by rounding
    return known if differ and all(np.isfinite(array).all() for array in known) else None


def _learn(images: Images, labels: NDArray[np.integer[Any]]) -> Familiarity:
    chosen = np.random.default_rng(0).permutation(len(images))[:IMAGES]
    held_out, learned = images[chosen[::HELD_OUT]], np.delete(chosen, np.s_[::HELD_OUT])
    usual, others = images[learned[:USUAL]], images[learned[USUAL:]]

    mean, basis = _principal_components(_in_blocks(_describe, usual))
    points, other_points = _project(usual, mean, basis), _project(others, mean, basis)
    strange = np.argsort(_to_nearest(other_points, points), kind="stable")[-STRANGE:]
    points = _with_counts(points, usual)
    kept = np.concatenate([points, _with_counts(other_points[strange], others[strange])])
    examples = (kept / QUANTUM).round().clip(-127, 127).astype(np.int8)

    raw = Familiarity(mean, basis, *_classes(points, labels[learned[:USUAL]]), examples, np.ones(()))
    points = _reduce(held_out, mean, basis)
    with np.errstate(divide="ignore", over="ignore"):
        whitening = raw.whitening / np.quantile(raw.to_class(points), COMMON)
        reach = np.quantile(raw.to_example(points), COMMON)
        return raw._replace(
            centres=raw.centres.astype(np.float16),
            whitening=whitening.astype(np.float16),
            reach=np.asarray(reach, np.float16),
        )


def _principal_components(described: Floats) -> tuple[Floats, Floats]:
    """The mean (D,) and the basis (D, COMPONENTS) of descriptions (n, D), in float16."""
    _, vectors = np.linalg.eigh(np.cov(described, rowvar=False))
    return described.mean(axis=0).astype(np.float16), vectors[:, : -COMPONENTS - 1 : -1].astype(np.float16)


def _classes(points: Floats, labels: NDArray[np.integer[Any]]) -> tuple[Floats, Floats]:
    """The centre of each class, (C, K), and what makes its covariance that of white noise, (C, K, K)."""
    classes, members, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    centres = np.stack([points[members == index].mean(axis=0) for index in range(len(classes))])
    away = (points - centres[members]).astype(np.float64)
    common = away.T @ away / len(away)
    whitening = []
    for index, size in enumerate(sizes):
        own = away[members == index]
        covariance = SHRINKAGE * common + (1 - SHRINKAGE) * (own.T @ own) / size
        covariance[[-2, -1], [-2, -1]] += COUNTS_VARIANCE
        whitening.append(np.linalg.inv(np.linalg.cholesky(covariance)))
    return centres, np.stack(whitening)


def _as_float32(array: Floats) -> Floats:
    return array.astype(np.float32)


def _in_blocks(of: Callable[[Any], Floats], rows: NDArray[Any]) -> Floats:
    """What `of` makes of the rows, BLOCK at a time; of no rows, too."""
    return np.concatenate([of(rows[begin : begin + BLOCK]) for begin in range(0, max(1, len(rows)), BLOCK)])


def _to_nearest(points: Floats, examples: Floats) -> Floats:
    """(n,), the distance from each of the points (n, k) to the nearest of the examples (m, k)."""
    squares = np.square(examples).sum(axis=1)

    def nearest(block: Floats) -> Floats:
        found: Floats = np.square(block).sum(axis=1) + (squares - 2 * block @ examples.T).min(axis=1)
        return found

    distances: Floats = np.sqrt(_in_blocks(nearest, points).clip(0))
    return distances


def _project(images: Images, mean: Floats, basis: Floats) -> Floats:
    """(n, COMPONENTS): the principal components of the descriptions."""
    mean, basis = _as_float32(mean), _as_float32(basis)
    return _in_blocks(lambda block: (_describe(block) - mean) @ basis, images)


def _reduce(images: Images, mean: Floats, basis: Floats) -> Floats:
    """(n, K): what is kept of the descriptions."""
    return _with_counts(_project(images, mean, basis), images)


def _with_counts(points: Floats, images: Images) -> Floats:
    """(n, K): the principal components, then marks and holes."""
    return np.concatenate([points, np.float32(COUNT) * _in_blocks(_count, images)], axis=1)


@cache
def _filters() -> tuple[Floats, Floats]:
    """What smooths along an axis, (28, 28), and what gives the slope of that, (28, 28)."""
    smooth = ndimage.gaussian_filter1d(np.eye(28), BLUR, axis=0)
    return smooth.astype(np.float32), np.asarray(np.gradient(smooth, axis=0), np.float32)


@cache
def _cells() -> Floats:
    """(28, cells): the weight of each row, or column, in the cells of the grid along that axis."""
    middles = np.arange(STEP // 2, 28, STEP)
    weights = np.exp(-((np.arange(28)[:, None] - middles) ** 2) / (2 * SPREAD**2))
    cells: Floats = (weights / weights.sum(axis=0)).astype(np.float32)
    return cells


def _describe(images: Images) -> Floats:
    """(n, D): how much edge of each direction there is in each cell; the whole has length 1."""
    smooth, slope = _filters()
    levels = images.astype(np.float32) / 255
    down, across = slope @ levels @ smooth.T, smooth @ levels @ slope.T
    squares = down**2 + across**2
    strength, squares = np.sqrt(squares), np.maximum(squares, 1e-12)
    # Of twice the direction, so that opposite ones are the same.
    cosine, sine = (across**2 - down**2) / squares, 2 * down * across / squares
    cells, step = _cells(), 2 * np.pi / DIRECTIONS
    parts = []
    for angle in step * np.arange(DIRECTIONS):  # an edge counts for the two next to its own
        along = np.float32(np.cos(angle)) * cosine + np.float32(np.sin(angle)) * sine
        edges = strength * np.square(np.maximum(along - np.float32(np.cos(step)), 0))
        parts.append((cells.T @ edges @ cells).reshape(len(images), cells.shape[1] ** 2))
    described: Floats = np.sqrt(np.concatenate(parts, axis=1))
    described /= np.maximum(np.linalg.norm(described, axis=1, keepdims=True), 1e-6)
    return described


_TOUCHING = np.zeros((3, 3, 3), bool)  # pixels of one image, also at their corners
_TOUCHING[1] = True
_BESIDE = _TOUCHING & ndimage.generate_binary_structure(3, 1)


def _count(images: Images) -> Floats:
    """(n, 2): marks and holes."""
    ink = np.pad(images >= INK, ((0, 0), (1, 1), (1, 1)))
    return np.stack([_pieces(ink, _TOUCHING), _pieces(~ink, _BESIDE) - 1], axis=1).astype(np.float32)


def _pieces(mask: NDArray[np.bool_], structure: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(n,): the connected pieces of each mask (n, h, w)."""
    labelled, _ = ndimage.label(mask, structure)
    highest = labelled.max(axis=(1, 2), initial=0)  # labels are given in order, image after image
    return np.diff(np.maximum.accumulate(highest), prepend=0)
