"""Files to pictures: decoded, turned as they are meant to be seen, and reduced to a working size."""

import contextlib
import itertools
import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ..data.idx import may_be_idx, read_idx_from
from ..descriptors import discarding, is_written_to
from ..errors import DatasetError, Error
from ..file_kinds import HEAD, FileKind, file_kind
from ..user_files import open_regular, reason_of

# What a picture may be decoded to: phones make 108 megapixels, and Pillow takes 4 bytes for each of them. Of
# a JPEG, which is what they save, no more is decoded than WORKING_SIDE needs.
MAX_PIXELS = 1 << 27
WORKING_SIDE = 2048  # larger pictures are reduced, before each pixel takes 8 bytes

# What is read of one file that holds several: an animation of a few kilobytes can have any number of frames.
MAX_FRAMES = 1000
MAX_PIXELS_OF_ALL = 1 << 31  # 250 pages of A4 at 300 dots per inch

# What cameras, scanners, drawing programs and web pages save. No others: Pillow runs Ghostscript for EPS, and
# for rare formats its errors and sizes are anyone's guess. TGA is last, as it has no mark to be known by.
FORMATS = ["PNG", "JPEG", "MPO", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "JPEG2000", "PPM", "ICO", "TGA"]

# Whose further frames show the same again: depth or brightness for the screen, a preview, other moments.
ONE_PICTURE = ("MPO", "HEIF")
NO_LEVEL = 1e30  # in an IDX file of floats this and more is taken for 0, as what is no number is
SUBFILE_TYPE, NO_PAGE = 254, 0b101  # the tag of TIFF, and its bits for a reduced copy and for a mask

_log = logging.getLogger(__name__)
logging.getLogger("PIL").addHandler(logging.NullHandler())  # or what it logs of bad files goes to stderr
_one_at_a_time = threading.Lock()  # what _pillow() changes is the process's, and must not overlap

# uint8: grey (h, w), colour (h, w, 3) or colour with alpha (h, w, 4), at most WORKING_SIDE a side.
Picture: TypeAlias = NDArray[np.uint8]


class PictureError(Error):
    """A file is not a picture, or no digit is found in the picture."""


def read_pictures(path: str | os.PathLike[str]) -> Iterator[tuple[str, Picture]]:
    """Read a picture file, or an IDX file of pictures of any type, plain or gzipped.

    An IDX file has one of the shapes that a Trainer takes, with any height and width but for (n, 784).

    Yields:
        Each picture's name and the picture. The name is the path, with an index if the file has several
        pages or frames or is an IDX file. Levels of an IDX file that are not 0 to 255 are stretched to that,
        all by the range of the whole file, which is logged.

    Raises:
        PictureError: the file cannot be read, or is neither of these. What comes before a page that cannot be
            read is yielded.
    """
    name = os.fspath(path)
    if os.path.isdir(path):
        raise PictureError(f"{name}: it is a folder, expected a file: name the pictures in it")
    try:
        with open_regular(path) as file:
            yield from read_pictures_from(file, name)
    except OSError as error:
        raise PictureError(f"{name}: {reason_of(error)}") from error


def read_pictures_from(file: IO[bytes], name: str) -> Iterator[tuple[str, Picture]]:
    """Read as read_pictures() does from a file that is open and can be sought in."""
    head = file.read(HEAD)
    file.seek(0)
    try:
        image = _open(file, head)
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error
    if image is None:
        yield from _read_idx(file, name)
        return
    with image:
        yield from _named(name, _pages(image))


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
        image = _open(file, head)
        if image is None:
            raise PictureError("it may be an IDX file, but is no picture")
        with image:
            check_size(image.width, image.height)
            with _pillow():
                return _decode(image)
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error


@contextlib.contextmanager
def _pillow() -> Iterator[None]:
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


def _open(file: IO[bytes], head: bytes) -> Image.Image | None:
    """Open a picture, without decoding it yet; None if it may be an IDX file instead."""
    with _pillow():
        Image.init()
        try:
            return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
        except UnidentifiedImageError as error:
            if may_be_idx(head):
                return None
            kind = file_kind(head)
            if kind is FileKind.HEIC:
                return _open_heic(file)
            raise PictureError(_say_what_it_is(kind)) from error


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


def _named(name: str, pages: Iterator[Picture | PictureError]) -> Iterator[tuple[str, Picture]]:
    """Number the pages if there are several; an error among them is raised in its turn."""
    first, second = next(pages), next(pages, None)
    known = [first] if second is None else [first, second]
    for index, page in enumerate(itertools.chain(known, pages)):
        its_name = name if second is None else f"{name}[{index}]"
        if isinstance(page, PictureError):
            raise PictureError(f"{its_name}: {page}") from page
        yield its_name, page


def _pages(image: Image.Image) -> Iterator[Picture | PictureError]:
    """Decode page after page, or frame after frame, until there are no more or one cannot be read."""
    pixels = 0
    for frame in itertools.count():
        try:
            with _pillow():
                if frame > 0 and not _turn_to(image, frame):
                    return
                pixels += image.width * image.height
                if frame >= MAX_FRAMES or pixels > MAX_PIXELS_OF_ALL:
                    raise PictureError(f"only what comes before it is read: {_limits()}; split the file")
                page = None if frame > 0 and _is_no_page(image) else _decode(image)
        except PictureError as error:
            yield error
            return
        if page is not None:
            yield page
        if image.format in ONE_PICTURE:
            return


def _limits() -> str:
    return f"at most {MAX_FRAMES:,} frames, of {MAX_PIXELS_OF_ALL:,} pixels together"


def _turn_to(image: Image.Image, frame: int) -> bool:
    try:
        image.seek(frame)
    except EOFError:
        return False
    return True


def _is_no_page(image: Image.Image) -> bool:
    """Tell whether a TIFF file says that this frame is a preview or a mask of another."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    return bool(tags.get(SUBFILE_TYPE, 0) & NO_PAGE)


def _decode(image: Image.Image) -> Picture:
    image.draft(None, (WORKING_SIDE, WORKING_SIDE))
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        problem = f"more than {MAX_PIXELS:,}: reduce it" if width * height else "there is nothing to see"
        raise PictureError(f"{width} x {height} pixels, {problem}")
    image.getexif()  # older Pillows cannot read it once the pixels are loaded, which turns a TIFF by itself
    _load(image)
    small = _reduce(image, _working_mode(image))
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


def _read_idx(file: IO[bytes], name: str) -> Iterator[tuple[str, Picture]]:
    try:
        pictures = _as_pictures(read_idx_from(file, name), name)
        if pictures.dtype.kind == "f":
            pictures[~(abs(pictures) < NO_LEVEL)] = 0  # and NaN
        low, high = _range_of(pictures)
    except DatasetError as error:
        raise PictureError(str(error)) from error
    except MemoryError as error:
        raise PictureError(f"{name}: more than fits into memory: split the file") from error
    if (low, high) != (0, 255):
        _log.info("%s: its levels, %g to %g, are stretched to 0 to 255", name, low, high)
    for index, picture in enumerate(pictures):
        image = Image.fromarray(_to_8_bits(picture, low, high))
        yield f"{name}[{index}]", np.array(_reduce(image, image.mode))


def _as_pictures(levels: NDArray[Any], name: str) -> NDArray[Any]:
    """View what an IDX file holds as (n, height, width), whichever of a Trainer's shapes it has."""
    if levels.size > 0:
        match levels.shape:
            case (_, _, _):
                return levels
            case (_, _, _, 1):
                return levels[..., 0]
            case (_, 1, _, _):
                return levels[:, 0]
            case (_, 784):
                return levels.reshape(-1, 28, 28)
    what = "labels" if levels.ndim == 1 and levels.size > 0 else f"an array of shape {levels.shape}"
    raise PictureError(f"{name}: holds {what}, expected pictures: (n, height, width)")


def _range_of(levels: NDArray[Any]) -> tuple[float, float]:
    """Find what levels stand for black and white: 0 and 255 unless that is out of the question."""
    low, high = min(float(levels.min()), 0.0), max(float(levels.max()), 0.0)
    return (0, 255) if low == 0 and (127 < high <= 255 or high == 0) else (low, high)


def _to_8_bits(levels: NDArray[Any], low: float, high: float) -> Picture:
    if levels.dtype == np.uint8 and (low, high) == (0, 255):
        return levels
    scaled: NDArray[np.floating] = (levels - low) / (high - low) * 255
    return scaled.round().astype(np.uint8)
