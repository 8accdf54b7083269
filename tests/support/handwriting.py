"""Pictures of digits as people have them, by kind; each is made from its kind, number and seed alone."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from support import clean_kinds, later_photo_kinds, photo_kinds
from support.ink import Ink, sources
from support.papers import Picture

Random = np.random.Generator
Sort = Literal["clean", "photo"]


def as_png(picture: Picture, _rng: Random) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def as_phone_saves(picture: Picture, rng: Random) -> bytes:
    """A JPEG of the picture as the sensor lay; EXIF says how to turn it upright."""
    orientation, turn = [(1, None), (3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_90),
                         (8, Image.Transpose.ROTATE_270)][rng.integers(4)]  # fmt: skip
    image = Image.fromarray(picture)
    image = image if turn is None else image.transpose(turn)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85, exif=exif)
    return file.getvalue()


class Kind(NamedTuple):
    """A condition in which a digit reaches us."""

    name: str
    sort: Sort
    make: Callable[[Ink, Random], Picture]
    pens: tuple[float, ...] | None = None  # radii; None: every source of ink()
    save: Callable[[Picture, Random], bytes] = as_png


class Sample(NamedTuple):
    """A picture of a kind, as a file holds it."""

    digit: int
    picture: Picture
    file: bytes


def _kinds(sort: Sort, *makers: Callable[[Ink, Random], Picture]) -> tuple[Kind, ...]:
    return tuple(Kind(maker.__name__, sort, maker) for maker in makers)


KINDS = (
    *_kinds(
        "clean",
        clean_kinds.black_on_white,
        clean_kinds.white_on_black,
        clean_kinds.filling_the_canvas,
        clean_kinds.small_in_a_large_canvas,
        clean_kinds.off_centre,
        clean_kinds.wide_or_tall_canvas,
        clean_kinds.two_levels,
        clean_kinds.colours,
        clean_kinds.dark_on_clear,
        clean_kinds.light_on_clear,
        clean_kinds.as_mnist,
        clean_kinds.mnist_5_off,
        clean_kinds.mnist_11,
        clean_kinds.mnist_27,
        clean_kinds.mnist_faint,
        clean_kinds.mnist_dark_on_light,
    ),
    Kind("thin_pen", "clean", clean_kinds.black_on_white, pens=(0.006, 0.009, 0.012)),
    Kind("thick_pen", "clean", clean_kinds.black_on_white, pens=(0.09, 0.105, 0.12)),
    Kind("up_to_the_edge", "clean", clean_kinds.up_to_the_edge, pens=(0.05, 0.07, 0.09, 0.105, 0.12)),
    *_kinds(
        "photo",
        photo_kinds.gentle_gradient,
        photo_kinds.strong_gradient,
        photo_kinds.vignette,
        photo_kinds.hand_shadow,
        photo_kinds.lamp_spot,
        photo_kinds.noisy_low_contrast,
        photo_kinds.out_of_focus,
        photo_kinds.ruled,
        photo_kinds.squared,
        photo_kinds.printed_box,
        photo_kinds.row_of_boxes,
        photo_kinds.form_underline,
        photo_kinds.crumpled,
        photo_kinds.bleed_through,
        photo_kinds.black_on_dark_grey,
        photo_kinds.same_luminance,
        photo_kinds.pencil,
        photo_kinds.on_dark_table,
        photo_kinds.card_with_clear_margin,
        photo_kinds.frame_at_edge,
        photo_kinds.scan_with_dust,
        photo_kinds.low_quality_jpeg,
        photo_kinds.blackboard,
        photo_kinds.whiteboard,
        later_photo_kinds.thumb_in_the_corner,
        later_photo_kinds.moved_camera,
        later_photo_kinds.sheet_on_a_table,
        later_photo_kinds.envelope,
        later_photo_kinds.folded,
        later_photo_kinds.stained,
        later_photo_kinds.dotted_paper,
        later_photo_kinds.sticky_note,
        later_photo_kinds.punched_holes,
        later_photo_kinds.photo_of_a_screen,
        later_photo_kinds.app_in_dark_mode,
        later_photo_kinds.highlighter,
        later_photo_kinds.ruled_sheet_on_a_table,
    ),
    Kind("phone_photo", "photo", photo_kinds.phone_photo, pens=None, save=as_phone_saves),
)


def random_of(name: str, number: int, seed: int) -> Random:
    """The random numbers of one picture."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), number])


def samples(kind: Kind, count: int, seed: int = 0, first: int = 0) -> Iterator[Sample]:
    """`count` pictures of a kind, `first` first: digits 0 to 9 by turns, ten from each source of ink."""
    hands = sources(kind.pens)
    for number in range(first, first + count):
        rng = random_of(kind.name, number, seed)
        digit = number % 10
        picture = kind.make(hands[number // 10 % len(hands)](digit, rng), rng)
        yield Sample(digit, picture, kind.save(picture, rng))
