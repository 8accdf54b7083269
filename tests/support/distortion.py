"""What mpsmnist.augment() computes, once more: in float64, by SciPy's splines and interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.ndimage import map_coordinates

from support import reference

SIDE = 28
CONTROLS = 7  # control points along a side, for 4 cells of 7 pixels
DRAWS = (
    7 + 2 * CONTROLS**2
)  # thickness, rotation, shear, scales of x and y, shifts of x and y; control points


def draws(seed: int, position: int) -> NDArray[np.float64]:
    """The numbers in [-1, 1) of the image at `position` of the stream, (DRAWS,)."""
    key = int(reference.splitmix64(seed, 1, skip=position)[0])
    return (reference.splitmix64(key, DRAWS) >> np.uint64(11)).astype(np.float64) / 2**52 - 1


def _displacement(controls: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic spline surface over (CONTROLS, CONTROLS) values, at the middles of (SIDE, SIDE) pixels."""
    knots = np.arange(CONTROLS + 4) - 3.0  # the cells begin at 0, 1, 2 and 3
    middles = (np.arange(SIDE) + 0.5) / 7
    along_rows = BSpline(knots, controls, 3)(middles)
    surface: NDArray[np.float64] = BSpline(knots, along_rows.T, 3)(middles).T
    return surface


def distort(
    image: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    *,
    rotation: float,
    shift: float,
    scale: float,
    shear: float,
    elastic: float,
    thickness: float,
) -> NDArray[np.float64]:
    """The image (SIDE, SIDE) as these draws distort it, before it is rounded to bytes."""
    angle = np.radians(rotation * numbers[1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ [[1, shear * numbers[2]], [0, 1]] @ np.diag(1 + scale * numbers[3:5])
    v, u = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    moves = shift * numbers[5:7]
    controls = elastic * numbers[7:].reshape(CONTROLS, CONTROLS, 2)
    x, y = (
        matrix[i, 0] * u + matrix[i, 1] * v + moves[i] + _displacement(controls[:, :, i]) for i in range(2)
    )
    places = np.array([y, x]) + (SIDE - 1) / 2
    levels = map_coordinates(image.astype(np.float64), places, order=1, mode="grid-constant")
    offset = 255 * thickness * (numbers[0] + 1) / 2
    result: NDArray[np.float64] = np.clip((1 + thickness) * levels - offset, 0, 255)
    return result


def augment(images: NDArray[np.uint8], *, seed: int, first: int = 0, **strengths: Any) -> NDArray[np.float64]:
    """mpsmnist.augment(), before it rounds."""
    return np.stack([distort(image, draws(seed, first + i), **strengths) for i, image in enumerate(images)])
