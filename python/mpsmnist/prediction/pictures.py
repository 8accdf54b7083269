"""Pictures of single digits, made to look like MNIST's: 28x28, light ink on black, centred by mass."""

import os
import re
import threading
import warnings
from collections.abc import Iterator
from typing import IO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ..data import read_idx
from ..errors import DatasetError, Error
from ..file_kinds import HEAD, FileKind, file_kind
from ..user_files import open_regular, reason_of

SIDE = 28  # of the prepared picture
BOX = 20  # MNIST's digits fit into a box of this side, and their centre of mass is at pixel (14, 14)
CENTRE = 14
MIN_CONTRAST = 16  # grey levels from the background to the darkest or lightest spot; less is blank
NOISE = 0.1  # ink fainter than this share of the strongest is taken for paper grain or JPEG noise

# What a picture may be decoded to: phones make 108 megapixels, and Pillow takes 4 bytes for each of them. Of
# a JPEG, which is what they save, no more is decoded than WORKING_SIDE needs.
MAX_PIXELS = 1 << 27
WORKING_SIDE = 2048  # larger pictures are reduced, before each pixel takes 8 bytes

# No others: Pillow runs Ghostscript for EPS, and for rare formats its errors and sizes are anyone's guess.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "JPEG2000", "PPM")

_one_at_a_time = threading.Lock()  # catch_warnings() changes the process, and must not overlap with another

Grey: TypeAlias = NDArray[np.uint8]


class PictureError(Error):
    """A file is not a picture, or the picture is blank."""


class Digit(NamedTuple):
    """A picture, ready for the network."""

    pixels: Grey  # (28, 28)
    inverted: bool  # it was dark on light


def read_pictures(path: str | os.PathLike[str]) -> Iterator[tuple[str, Grey]]:
    """Read a picture file, or an IDX file of pictures (n, height, width), plain or gzipped.

    Yields:
        Each picture's name (the path, with an index if it is an IDX file) and grey levels (height, width), at
        most WORKING_SIDE each.

    Raises:
        PictureError: the file cannot be read, or is neither of these.
    """
    name = os.fspath(path)
    try:
        with open_regular(path) as file:
            start = file.read(HEAD)
            is_idx = re.match(rb"\0\0[\x08-\x0e][\x01-\x0f]|\x1f\x8b", start) is not None  # or gzipped
            pictures = [] if is_idx else [(name, _read_picture(name, file, start))]
    except OSError as error:
        raise PictureError(f"{name}: {reason_of(error)}") from error
    if is_idx:
        pictures = [(f"{name}[{index}]", picture) for index, picture in enumerate(_read_idx(path))]
    yield from pictures


def _read_idx(path: str | os.PathLike[str]) -> Grey:
    try:
        pictures = read_idx(path, shape=(None, None, None))
    except DatasetError as error:
        raise PictureError(str(error)) from error
    if pictures.dtype != np.uint8 or 0 in pictures.shape:
        raise PictureError(
            f"{os.fspath(path)}: holds {pictures.dtype} {pictures.shape}, expected uint8 pictures"
        )
    return pictures


def _read_picture(name: str, file: IO[bytes], start: bytes) -> Grey:
    file.seek(0)
    try:
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow has to say about odd files
            return _decode(file)
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name}: {_too_many_pixels(str(error))}") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"{name}: {_say_what_it_is(start)}") from error
    except Exception as error:  # what Pillow makes of bad files is no closed set
        raise PictureError(f"{name}: {str(error) or type(error).__name__}") from error


def _say_what_it_is(start: bytes) -> str:
    kind = file_kind(start)
    if kind is None:
        return f"neither a picture ({', '.join(FORMATS)}) nor an IDX file"
    remedy = ": save it as PNG or JPEG" if kind in (FileKind.HEIC, FileKind.SVG, FileKind.PDF) else ""
    return f"it is {kind.value}{remedy}"


def _too_many_pixels(message: str) -> str:
    """Put Pillow's message about its own limit, which comes before its pictures have a size, in our words."""
    size, limit = (re.search(rf"{before}(\d+) pixels", message) for before in (r"\(", "limit of "))
    if size is None or limit is None:
        return "too many pixels: reduce it"
    return f"{int(size[1]):,} pixels, more than {min(int(limit[1]), MAX_PIXELS):,}: reduce it"


def _decode(file: IO[bytes]) -> Grey:
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    with Image.open(file, formats=known) as image:
        image.draft(None, (WORKING_SIDE, WORKING_SIDE))
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise PictureError(f"{width} x {height} pixels, more than {MAX_PIXELS:,}: reduce it")
        small = _reduce(image, _working_mode(image))
        small.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
    return _to_grey(ImageOps.exif_transpose(small))


def _working_mode(image: Image.Image) -> str:
    """Choose one of three modes: 16 bits and more are F, since L would clip them; what is clear is RGBA."""
    if image.mode.startswith(("I", "F")):
        return "F"
    return "RGBA" if "A" in image.getbands() or "transparency" in image.info else "L"


def _reduce(image: Image.Image, mode: str) -> Image.Image:
    """Convert to `mode` and shrink by a whole factor to WORKING_SIDE at most, tile by tile to save memory."""
    width, height = image.size
    factor = -(-max(width, height) // WORKING_SIDE)
    small = Image.new(mode, (-(-width // factor), -(-height // factor)))
    side = max(WORKING_SIDE // factor, 1)  # of a tile in `small`
    for top in range(0, small.height, side):
        for left in range(0, small.width, side):
            right, bottom = (left + side) * factor, (top + side) * factor
            tile = image.crop((left * factor, top * factor, min(right, width), min(bottom, height)))
            if tile.mode.startswith("I;"):  # not all of them convert to F
                tile = tile.convert("I")
            small.paste(tile.convert(mode).reduce(factor), (left, top))
    return small


def _to_grey(image: Image.Image) -> Grey:
    if image.mode == "F":
        levels = np.nan_to_num(np.array(image, np.float64), posinf=0, neginf=0)
        levels *= 255 / max(levels.max(), 1)
        return levels.clip(0, 255).round().astype(np.uint8)
    if image.mode == "L":
        return np.array(image)
    grey = np.asarray(image.convert("L"), np.float64)
    alpha = np.asarray(image.getchannel("A"), np.float64) / 255
    # What shows through is white paper under dark ink, and a blackboard under light ink.
    paper = 255 if (grey * alpha).sum() < 127.5 * alpha.sum() else 0
    blend: NDArray[np.float64] = grey * alpha + paper * (1 - alpha)
    return blend.round().astype(np.uint8)


def prepare(picture: Grey, invert: bool | None = None) -> Digit:
    """Make a picture of one digit, uint8 (height, width), look like MNIST's.

    A 28x28 picture of light ink on black is taken as it is. Any other is inverted if it is dark on light,
    cropped to its ink, scaled to fit a 20x20 box and centred by its centre of mass, as MNIST's digits were.

    Args:
        picture: the grey levels.
        invert: whether it is dark on light; None judges by the border.

    Raises:
        PictureError: the picture is blank.
    """
    picture = np.asarray(_reduce(Image.fromarray(picture), "L"))
    background = float(np.median(_border(picture)))
    inverted = background > 127 if invert is None else invert
    levels = picture.astype(np.float64)
    ink = (background - levels if inverted else levels - background).clip(0, None)
    if ink.max() < MIN_CONTRAST:
        raise PictureError("the picture is blank: nothing differs from its border")
    if picture.shape == (SIDE, SIDE) and not inverted and background < MIN_CONTRAST:
        return Digit(picture, inverted)
    ink = np.where(ink < NOISE * ink.max(), 0, ink)
    return Digit(_centre(_fit(_crop(ink))), inverted)


def _border(picture: Grey) -> Grey:
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def _crop(ink: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fit(ink: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale to the box with proportions kept, and the strongest ink to 255."""
    height, width = (max(1, round(side * BOX / max(ink.shape))) for side in ink.shape)
    image = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    scaled = np.array(image, np.float64)
    scaled *= 255 / scaled.max()
    return scaled


def _centre(ink: NDArray[np.float64]) -> Grey:
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
