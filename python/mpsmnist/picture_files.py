"""Opens and decodes pictures with care: what they may be decoded to is bounded, and errors are in words."""

import contextlib
import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from .descriptors import discarding, is_written_to
from .errors import Error
from .file_kinds import HEAD, FileKind, file_kind

# What a picture may be decoded to: phones make 108 megapixels, and Pillow takes 4 bytes for each of them. Of
# a JPEG, which is what they save, no more is decoded than WORKING_SIDE needs.
MAX_PIXELS = 1 << 27
WORKING_SIDE = 2048  # larger pictures are reduced, before each pixel takes 8 bytes

# What cameras, scanners, drawing programs and web pages save. No others: Pillow runs Ghostscript for EPS, and
# for rare formats its errors and sizes are anyone's guess. TGA is last, as it has no mark to be known by.
FORMATS = ["PNG", "JPEG", "MPO", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "JPEG2000", "PPM", "ICO", "TGA"]

logging.getLogger("PIL").addHandler(logging.NullHandler())  # or what it logs of bad files goes to stderr
_one_at_a_time = threading.Lock()  # what pillow() changes is the process's, and must not overlap

# uint8: grey (h, w), colour (h, w, 3) or colour with alpha (h, w, 4), at most WORKING_SIDE a side.
Picture: TypeAlias = NDArray[np.uint8]


class PictureError(Error):
    """A file is not a picture, or no digit is found in the picture."""


class UnknownPictureError(PictureError):
    """A file is no picture of any kind that can be read."""


def read_picture_from(file: IO[bytes], name: str, check_size: Callable[[int, int], None]) -> Picture:
    """Read the first picture of a file that is open and can be sought in.

    Args:
        file: the file.
        name: what to call it in messages.
        check_size: gets width and height before anything is decoded, and may raise what it likes.

    Raises:
        PictureError: it is no picture, or cannot be read.
    """
    head = file.read(HEAD)
    file.seek(0)
    try:
        with open_picture(file, head) as image:
            check_size(image.width, image.height)
            with pillow():
                return decode(image)
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error


def open_picture(file: IO[bytes], head: bytes) -> Image.Image:
    """Open a picture, which begins with `head`, without decoding it yet. Raises PictureError."""
    with pillow():
        Image.init()
        try:
            return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
        except UnidentifiedImageError as error:
            kind = file_kind(head)
            if kind is FileKind.HEIC:
                return _open_heic(file)
            raise UnknownPictureError(_say_what_it_is(kind)) from error


@contextlib.contextmanager
def pillow() -> Iterator[None]:
    """Turn whatever Pillow raises in the block into a PictureError, and keep its warnings to itself."""
    try:
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(_too_many_pixels(str(error))) from error
    except Exception as error:  # what Pillow makes of bad files is no closed set
        raise PictureError(f"cannot be read: {_in_one_line(error)}") from error


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _too_many_pixels(message: str) -> str:
    """Put Pillow's message about its own limit, which comes before its pictures have a size, in our words."""
    size, limit = (re.search(rf"{before}(\d+) pixels", message) for before in (r"\(", "limit of "))
    if size is None or limit is None:
        return "too many pixels: reduce it"
    return f"{int(size[1]):,} pixels, more than {min(int(limit[1]), MAX_PIXELS):,}: reduce it"


def _open_heic(file: IO[bytes]) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile  # noqa: PLC0415  (an extra, and no small one)
    except ImportError as error:
        how = "`pip install 'mpsmnist[heic]'` lets it be read, or save it as PNG or JPEG"
        raise PictureError(f"it is {FileKind.HEIC.value}: {how}") from error
    file.seek(0)
    try:
        image: Image.Image = HeifImageFile(file)  # type: ignore[no-untyped-call]
    except SyntaxError as error:
        raise PictureError(
            f"it is {FileKind.HEIC.value}, but cannot be read: {_in_one_line(error)}"
        ) from error
    return image


def _say_what_it_is(kind: FileKind | None) -> str:
    if kind is None:
        return f"neither a picture that can be read ({', '.join(FORMATS)}, HEIC) nor an IDX file"
    remedy = ": save it as PNG or JPEG" if kind in (FileKind.SVG, FileKind.PDF) else ""
    return f"it is {kind.value}{remedy}"


def decode(image: Image.Image) -> Picture:
    """Decode the frame that a picture is at, turned as its EXIF data say. PictureError: it is too large.

    What Pillow raises itself is turned by pillow(), in whose block this is called.
    """
    image.draft(None, (WORKING_SIDE, WORKING_SIDE))
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        problem = f"more than {MAX_PIXELS:,}: reduce it" if width * height else "there is nothing to see"
        raise PictureError(f"{width} x {height} pixels, {problem}")
    image.getexif()  # older Pillows cannot read it once the pixels are loaded, which turns a TIFF by itself
    _load(image)
    small = reduce_by_tiles(image, _working_mode(image))
    small.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
    turned = ImageOps.exif_transpose(small)
    return _stretched(turned) if turned.mode == "F" else np.array(turned)


def _load(image: Image.Image) -> None:
    """Decode the pixels. libtiff prints what it finds wrong to descriptor 2; the error is enough."""
    with contextlib.ExitStack() as stack:
        if image.format == "TIFF" and is_written_to(2):
            stack.enter_context(discarding(2))
        image.load()


def _working_mode(image: Image.Image) -> str:
    """Choose one of four modes: 16 bits and more are F, since L would clip them; what is clear is RGBA."""
    if image.mode.startswith(("I", "F")):
        return "F"
    if "A" in image.getbands() or "transparency" in image.info:
        return "RGBA"
    return "L" if image.mode in ("1", "L") else "RGB"


def reduce_by_tiles(image: Image.Image, mode: str) -> Image.Image:
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
