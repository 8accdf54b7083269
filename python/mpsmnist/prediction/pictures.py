"""Pictures of digits, made to look like MNIST's: 28x28, light ink on black, centred by mass."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ..picture_files import Picture, PictureError
from .colours import Levels, to_levels
from .cutouts import with_paper_around
from .marks import (
    Mask,
    bounds,
    drop_borders,
    drop_holes,
    drop_specks,
    drop_surroundings,
    has_a_dot,
    is_line_across,
    length,
    one_digit,
    split_into_digits,
    thickness,
    widened,
)
from .paper import (
    FAINTEST,
    SMALL,
    bridged,
    edges,
    evened,
    find_paper,
    ink_above,
    marked,
    mean_side,
    noise,
    stands_out,
)
from .rules import strike_rules
from .shadows import brightening, without_shadows, without_soft_edges
from .sheets import cut_out_sheet
from .strokes import redrawn

SIDE = 28  # of the prepared picture
BOX = 20  # MNIST's digits fit into a box of this side, and their centre of mass is at pixel (14, 14)
CENTRE = 14
WORKING = 256  # pixels a side are enough
SHARP_SIDE = 128  # pixels a side, or less, are too few to be smoothed
PRINT, STROKE = 0.25, 0.4  # of the strongest ink near: more may be print, and, print removed, the digit
EVIDENT = 250  # faint digits have 300 and more, others thousands; the shadow of a fingertip has less
EDGE = 0.3  # of full ink: less is the softness of a stroke's edge
MUCH = 2  # times the evidence without soft edges: these are ink's, out of focus
FULL = 200  # of 255: the strongest ink of any of MNIST's digits is more

Grey: TypeAlias = NDArray[np.uint8]


class Digit(NamedTuple):
    """A picture, ready for the network."""

    pixels: Grey  # (28, 28)
    inverted: bool  # it was dark on light
    doubt: str | None = None  # why it may be no digit, whatever the network says


class _Found(NamedTuple):
    """What there is in a picture, if it is dark on light, or if it is light on dark."""

    ink: Levels
    mask: Mask
    evidence: float
    inverted: bool
    sharp: bool = False  # seen without soft edges


def prepare(picture: Picture, invert: bool | None = None) -> Digit:
    """Make a picture of one digit look like MNIST's.

    A picture as MNIST has them is taken as it is. In any other the digit is looked for: ink that stands out
    of the paper around it, without rules, frames and specks. It is scaled to fit a 20x20 box and centred by
    its centre of mass, as MNIST's digits were, with strokes as wide as theirs. If there are several digits,
    all the marks near the largest one are taken for its strokes.

    Args:
        picture: uint8, grey (h, w), colour (h, w, 3) or colour with alpha (h, w, 4).
        invert: whether it is dark on light; None judges by what would be ink and what paper.

    Raises:
        PictureError: no digit is found.
    """
    return prepare_and_count(picture, invert)[0]


def prepare_and_count(picture: Picture, invert: bool | None = None) -> tuple[Digit, int]:
    """Prepare one digit, as prepare() does, and tell how many prepare_all() would find."""
    if not invert and _is_as_mnists(picture):
        return Digit(picture, False), 1
    found = _find(picture, invert)
    labels, digits = split_into_digits(found.mask)
    mask = labels == digits[0] if len(digits) == 1 else one_digit(found.ink, found.mask)
    return _as_mnists(found, mask), len(digits)


def prepare_all(picture: Picture, invert: bool | None = None) -> list[Digit]:
    """Make a picture like MNIST's of every digit in a picture, as prepare() does of one.

    Returns:
        The digits in reading order: from left to right, and the lines from top to bottom.

    Raises:
        PictureError: no digit is found.
    """
    if not invert and _is_as_mnists(picture):
        return [Digit(picture, False)]
    found = _find(picture, invert)
    labels, digits = split_into_digits(found.mask)
    return [_as_mnists(found, labels == digit) for digit in digits]


def _is_as_mnists(picture: Picture) -> bool:
    """Tell whether it has the size, the contrast, the box and the centre of MNIST's digits."""
    if picture.shape != (SIDE, SIDE) or picture.max() < FULL:
        return False
    if length(bounds(picture)) != BOX:
        return False
    centre = ndimage.center_of_mass(picture)
    return bool(np.abs(np.subtract(centre, CENTRE)).max() <= 1)


def _find(picture: Picture, invert: bool | None) -> _Found:
    """Look for ink on the sheet of paper in a picture or, if there is none, in all of it."""
    sheet = cut_out_sheet(picture) if min(picture.shape[:2]) > SHARP_SIDE // 2 else None
    return _find_closely(picture if sheet is None else sheet, invert)


def _find_closely(picture: Picture, invert: bool | None) -> _Found:
    """Look for ink in a picture; once more, closer, if all of it is in a small part of a large one."""
    found = _find_in(picture, invert)
    factor = _reduction(picture)
    box = bounds(found.mask)
    side = length(box)
    if factor == 1 or side > WORKING // 4:
        return found
    closer = tuple(slice(part.start * factor, part.stop * factor) for part in widened(box, side))
    return _find_in(picture[closer], found.inverted, found.sharp)


def _reduction(picture: Picture) -> int:
    return -(-int(max(picture.shape[:2])) // WORKING)


def _find_in(picture: Picture, invert: bool | None, sharp: bool = False) -> _Found:
    """Look for ink, also without soft edges if there are any, and only so if `sharp`."""
    if (factor := _reduction(picture)) > 1:
        picture = np.asarray(Image.fromarray(picture).reduce(factor))
    levels = to_levels(picture)
    if max(levels.shape) > SHARP_SIDE:
        levels = ndimage.gaussian_filter(levels, max(levels.shape) / 2 / SHARP_SIDE, truncate=2.5)
    polarities = (True, False) if invert is None else (invert,)
    candidates = _cut_out(levels, polarities) or _on_paper(levels, polarities, sharp)
    best = max(candidates, key=lambda found: found.evidence)
    if best.evidence == 0:
        raise PictureError("no digit is found: nothing that could be one stands out of the paper")
    return best


def _cut_out(levels: Levels, polarities: Sequence[bool]) -> list[_Found]:
    """Look for ink that was cut out, in the paper that it gets around it; nothing if it was not."""
    padded = [(with_paper_around(-levels if dark else levels), dark) for dark in polarities]
    return [
        _look_for(around, np.full_like(around, noise(around)), dark)
        for around, dark in padded
        if around is not None
    ]


def _on_paper(levels: Levels, polarities: Sequence[bool], sharp: bool) -> list[_Found]:
    """Look for ink in all of the picture, without shadows and without soft edges."""
    grain = np.full_like(levels, noise(levels))

    def look_for(view: Levels) -> list[_Found]:
        return [_look_for(-view if dark else view, grain, dark) for dark in polarities]

    if max(levels.shape) <= SHARP_SIDE // 2:
        return look_for(levels)
    grain *= brightening(levels)
    alone = without_soft_edges(levels)
    if alone is None:
        return look_for(without_shadows(levels))
    found = [one._replace(sharp=True) for one in look_for(alone)]
    if not sharp:
        found += map(_less_what_is_soft, look_for(without_shadows(levels)), found)
    return found


def _less_what_is_soft(found: _Found, sharp: _Found) -> _Found:
    """Take away the evidence of marks that are gone without soft edges, unless all is out of focus."""
    if found.evidence == 0 or found.evidence > MUCH * sharp.evidence:
        return found
    share = float(ndimage.maximum_filter(sharp.mask, 5)[found.mask].mean())
    return found._replace(evidence=share * found.evidence)


def _look_for(levels: Levels, grain: Levels, inverted: bool) -> _Found:
    """Look for light ink on dark paper, and judge whether it is that."""
    paper = find_paper(levels)
    ink = ink_above(levels, paper)
    stroke = STROKE if mean_side(ink) > SMALL else PRINT  # hair lines of less than a pixel are pale
    everything, kept = marked(ink, grain, PRINT, stroke)
    rest = _without_print(ink, everything)
    gone = everything & ~rest
    if gone.any():
        cleared = _cleared(levels, paper, ndimage.maximum_filter(gone, 3) & ~rest)
        (kept,) = marked(cleared, grain, stroke)
        mask = drop_specks(cleared, _without_print(cleared, kept))
    else:
        cleared, mask = ink, bridged(drop_specks(ink, kept), everything)
    if not stands_out(ink, mask, grain):
        return _Found(ink, mask, 0.0, inverted)
    digits = float(ink[mask].sum()) / float(ink[mask | kept | gone].sum())
    return _Found(cleared, mask, _evidence(cleared, mask, paper) * (1 + digits), inverted)


def _cleared(levels: Levels, paper: Levels, gone: Mask) -> Levels:
    """Give the ink when some is gone, which may have hidden how wide the strokes of the rest are."""
    rest = np.where(gone, paper, levels)
    cleared: Levels = np.where(gone, 0, ink_above(rest, find_paper(rest)))
    return cleared


def _without_print(ink: Levels, mask: Mask) -> Mask:
    mask = strike_rules(ink, drop_surroundings(ink, drop_borders(mask)))
    return drop_holes(drop_surroundings(ink, mask))


def _evidence(ink: Levels, mask: Mask, paper: Levels) -> float:
    """Judge by the strength, by the strokes and by the paper around them.

    Strokes are thin for their length, and do not run along the edges of the picture. Paper is even, but not
    where it is ink that was taken for paper, and the gaps between strokes for strokes: half a digit around
    these, such ink ends.
    """
    strength = float(ink[mask].mean())
    edge = float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())
    box = bounds(mask)
    around = widened(box, length(box) // 2)
    roughness = edges(paper[around]) / max(edges(np.where(mask, ink, 0)[around]), FAINTEST)
    return float(strength**0.5 * (1 - edge) ** 2 / (0.02 + thickness(ink, mask) ** 2) / (0.1 + roughness))


def _as_mnists(found: _Found, mask: Mask) -> Digit:
    even = evened(found.ink, mask)
    drawn = redrawn(even[bounds(even)], BOX)
    doubt = None
    if is_line_across(mask):
        doubt = "a line from edge to edge: a fold, or a 1"
    elif has_a_dot(mask):
        doubt = "a dot above a stroke: an i or a j"
    elif found.evidence < EVIDENT:
        doubt = "hardly like ink on paper"
    return Digit(_centred(_fitted(drawn[bounds(drawn > EDGE)])), found.inverted, doubt)


def _fitted(ink: Levels) -> Levels:
    """Scale to the box with proportions kept, and the strongest ink to 255."""
    height, width = (max(1, round(side * BOX / max(ink.shape))) for side in ink.shape)
    image = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    scaled = np.array(image, np.float32)
    scaled *= 255 / scaled.max()
    return scaled


def _centred(ink: Levels) -> Grey:
    """Put the ink, at most BOX x BOX, into a SIDE x SIDE picture, centre of mass at CENTRE if it fits."""
    field = np.zeros((SIDE, SIDE), np.uint8)
    corners = []
    for axis, side in enumerate(ink.shape):
        mass = ink.sum(axis=1 - axis)
        centre = float(mass @ np.arange(side)) / float(mass.sum())
        corners.append(min(max(round(CENTRE - centre), 0), SIDE - side))
    top, left = corners
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = ink.round()
    return field
