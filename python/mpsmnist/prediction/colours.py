"""From colours, with alpha or without, to one level per pixel: what tells ink from paper."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..picture_files import Picture, PictureError

SOLID = 0.9  # this share of the largest alpha; less is an edge that lets through what is behind
ONE_COLOUR = 8  # levels; what spreads less, over the solid pixels, is drawn with one pen
SAMPLES = 140  # pixels a side are enough to see in what colours neighbours differ

Levels: TypeAlias = NDArray[np.float32]  # (h, w), 0 to 255


def to_levels(picture: Picture) -> Levels:
    """Give the levels of a grey picture, of colours along which neighbours differ most, or of the alpha."""
    if picture.ndim == 2:
        return picture.astype(np.float32)
    return _along_the_edges(_on_paper(picture) if picture.shape[2] == 4 else picture)


def _on_paper(picture: Picture) -> Picture:
    """Let the solid part go on into the clear; where that is all one colour, the drawing is in the alpha."""
    colours, alpha = picture[..., :3], picture[..., 3]
    if alpha.max() == 0:
        raise PictureError("no digit is found: all of the picture is clear")
    solid = alpha >= SOLID * float(alpha.max())
    if solid.all():
        return colours
    nearest = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    filled: Picture = colours[tuple(nearest)]
    if ndimage.uniform_filter(filled.astype(np.float32), (3, 3, 0)).std(axis=(0, 1)).max() > ONE_COLOUR:
        return filled
    dark = filled.mean() < 128
    drawn = 255 - alpha if dark else alpha  # as dark ink on white paper, or light ink on a blackboard
    return np.repeat(drawn[..., np.newaxis], 3, axis=2)


def _along_the_edges(picture: Picture) -> Levels:
    """Project the colours on the line along which neighbours differ most.

    That is the first eigenvector of the structure tensor (S. Di Zenzo, 1986, "A note on the gradient of a
    multi-image"). Light and shadow change slowly and hardly count; noise has no direction.
    """
    colours = picture.astype(np.float32)
    step = -(-min(picture.shape[:2]) // SAMPLES)
    few = (ndimage.uniform_filter(colours, (step, step, 0)) if step > 1 else colours)[::step, ::step]
    differences = np.concatenate([np.diff(few, axis=axis).reshape(-1, 3) for axis in (0, 1)])
    direction = np.linalg.eigh(differences.T @ differences)[1][:, -1]
    direction *= np.copysign(1, direction.sum())  # lighter is more
    darkest = 255 * np.minimum(direction, 0).sum()
    levels: Levels = (colours @ direction - darkest) / np.abs(direction).sum()
    return levels
