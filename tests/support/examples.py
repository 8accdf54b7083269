"""Deterministic images and labels: noisy discs on a blank background, whose position gives the class."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from support import reference

SIDE = 28
RADIUS = 7
KERNEL_CENTRE = 2

# Without the unclear images of their seed, the first CLEAR examples leave no ReLU and pooling decision closer
# than SAFE_MARGIN, for both inits (test_reference.py checks it). The CPU engine's conv1 errs by 5e-6 of the
# rms of its outputs, and by a few times as much in a few of a million, which reaches the decisions of fc0.
TRAINER_SEED = 5
EXAMPLES_SEED = 25
SAFE_MARGIN = 5e-5
CLEAR = 33
# fmt: off
UNCLEAR = [
    1, 5, 7, 10, 11, 12, 16, 21, 23, 25, 29, 31, 32, 34, 35, 36, 37, 38, 40, 41, 42, 43, 44, 45, 47,
    49, 51, 52, 53, 58, 59, 61, 62, 64, 65, 67,
]
# fmt: on


def discs(
    n: int, seed: int = EXAMPLES_SEED, num_classes: int = 10
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 28, 28) uint8 and labels (n,) int64. Class k of C sits at angle 2 pi k / C.

    The first examples of a seed are the same for every n.
    """
    left_out = UNCLEAR if seed == EXAMPLES_SEED else []
    drawn = max(n, CLEAR) + len(left_out)
    draws = reference.splitmix64(seed, drawn * (1 + SIDE * SIDE)).reshape(drawn, 1 + SIDE * SIDE)
    draws = np.delete(draws, left_out, axis=0)[:n]
    labels = (draws[:, 0] % np.uint64(num_classes)).astype(np.int64)
    noise = (64 + draws[:, 1:] % np.uint64(192)).astype(np.uint8).reshape(n, SIDE, SIDE)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images = np.zeros((n, SIDE, SIDE), np.uint8)
    for image, label, texture in zip(images, labels, noise, strict=True):
        angle = 2 * math.pi * int(label) / num_classes
        row, column = SIDE // 2 + round(6 * math.cos(angle)), SIDE // 2 + round(6 * math.sin(angle))
        inside = (rows - row) ** 2 + (columns - column) ** 2 < RADIUS**2
        image[inside] = texture[inside]
    return images, labels


def soft_labels(n: int, num_classes: int = 10) -> NDArray[np.float32]:
    """Rows (n, C) of three probabilities that float16 holds exactly: 1/2, 3/8 and 1/8."""
    rows = np.zeros((n, num_classes), np.float32)
    for shift, probability in enumerate((0.5, 0.375, 0.125)):
        rows[np.arange(n), (np.arange(n) * 3 + shift) % num_classes] = probability
    return rows


def tied(layer: str) -> tuple[reference.Tensors, NDArray[np.uint8], NDArray[np.int64]]:
    """Parameters, images (n, 28, 28) and labels (n,) for which most pool windows of `layer` have exact ties.

    Ties between equal patches are common but harmless: whichever wins, its patch adds the same to the
    gradients. Here the patches differ. conv0 sees one pixel of a black and white picture, so its outputs have
    two values, exact in any arithmetic; conv1 sees nothing but its bias. The other layer has no ties.
    """
    n = 3
    draws = reference.splitmix64(69, n * SIDE * SIDE).reshape(n, SIDE, SIDE)
    images = np.where(draws % np.uint64(10) < 3, 255, 0).astype(np.uint8)
    parameters = reference.initial_parameters(seed=TRAINER_SEED)
    weight = parameters[f"{layer}.weight"]
    weight[...] = 0
    if layer == "conv0":
        weight[KERNEL_CENTRE, KERNEL_CENTRE, 0, 0::2] = 0.5
        weight[KERNEL_CENTRE, KERNEL_CENTRE, 0, 1::2] = -0.5
    return parameters, images, np.array([1, 4, 8])
