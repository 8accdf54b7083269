"""Files to pictures: decoded, turned as they are meant to be seen, and reduced to a working size."""

import os
import re
import threading
import warnings
from collections.abc import Iterator
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ..data import read_idx
from ..errors import DatasetError, Error
from ..file_kinds import HEAD, FileKind, file_kind
from ..user_files import open_regular, reason_of

# What a picture may be decoded to: phones make 108 megapixels, and Pillow takes 4 bytes for each of them. Of
# a JPEG, which is what they save, no more is decoded than WORKING_SIDE needs.
MAX_PIXELS = 1 << 27
WORKING_SIDE = 2048  # larger pictures are reduced, before each pixel takes 8 bytes

# No others: Pillow runs Ghostscript for EPS, and for rare formats its errors and sizes are anyone's guess.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "JPEG2000", "PPM")

_one_at_a_time = threading.Lock()  # catch_warnings() changes the process, and must not overlap with another

# uint8: grey (h, w), colour (h, w, 3) or colour with alpha (h, w, 4), at most WORKING_SIDE a side.
Picture: TypeAlias = NDArray[np.uint8]


class PictureError(Error):
    """A file is not a picture, or the picture is blank."""


def read_pictures(path: str | os.PathLike[str]) -> Iterator[tuple[str, Picture]]:
    """Read a picture file, or an IDX file of pictures (n, height, width), plain or gzipped.

    Yields:
        Each picture's name (the path, with an index if it is an IDX file) and the picture.

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
        pictures = [(f"{name}[{index}]", reduced(picture)) for index, picture in enumerate(_read_idx(path))]
    yield from pictures


def _read_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    try:
        pictures = read_idx(path, shape=(None, None, None))
    except DatasetError as error:
        raise PictureError(str(error)) from error
    if pictures.dtype != np.uint8 or 0 in pictures.shape:
        raise PictureError(
            f"{os.fspath(path)}: holds {pictures.dtype} {pictures.shape}, expected uint8 pictures"
        )
    return pictures


def _read_picture(name: str, file: IO[bytes], start: bytes) -> Picture:
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


def _decode(file: IO[bytes]) -> Picture:
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    with Image.open(file, formats=known) as image:
        image.draft(None, (WORKING_SIDE, WORKING_SIDE))
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise PictureError(f"{width} x {height} pixels, more than {MAX_PIXELS:,}: reduce it")
        small = _reduce(image, _working_mode(image))
        small.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
    turned = ImageOps.exif_transpose(small)
    return _stretched(turned) if turned.mode == "F" else np.array(turned)


def _working_mode(image: Image.Image) -> str:
    """Choose one of four modes: 16 bits and more are F, since L would clip them; what is clear is RGBA."""
    if image.mode.startswith(("I", "F")):
        return "F"
    if "A" in image.getbands() or "transparency" in image.info:
        return "RGBA"
    return "L" if image.mode in ("1", "L") else "RGB"


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


def _stretched(image: Image.Image) -> Picture:
    """Fit the levels of a picture of mode F, which have any range, to 8 bits."""
    levels = np.nan_to_num(np.array(image, np.float64), posinf=0, neginf=0)
    levels *= 255 / max(levels.max(), 1)
    return levels.clip(0, 255).round().astype(np.uint8)


def reduced(picture: Picture) -> Picture:
    """Shrink a picture of any size to WORKING_SIDE at most, by a whole factor."""
    image = Image.fromarray(picture)
    return np.array(_reduce(image, image.mode))
