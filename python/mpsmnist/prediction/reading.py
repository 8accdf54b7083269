"""Files to pictures: decoded, turned as they are meant to be seen, and reduced to a working size."""

import itertools
import logging
import os
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.idx import may_be_idx, read_idx_from
from ..errors import DatasetError
from ..file_kinds import HEAD
from ..picture_files import (
    Picture,
    PictureError,
    UnknownPictureError,
    decode,
    open_picture,
    pillow,
    reduce_by_tiles,
)
from ..user_files import open_regular, reason_of

# What is read of one file that holds several: an animation of a few kilobytes can have any number of frames.
MAX_FRAMES = 1000
MAX_PIXELS_OF_ALL = 1 << 31  # 250 pages of A4 at 300 dots per inch

# Whose further frames show the same again: depth or brightness for the screen, a preview, other moments.
ONE_PICTURE = ("MPO", "HEIF")
NO_LEVEL = 1e30  # in an IDX file of floats this and more is taken for 0, as what is no number is
SUBFILE_TYPE, NO_PAGE = 254, 0b101  # the tag of TIFF, and its bits for a reduced copy and for a mask

_log = logging.getLogger(__name__)


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
    image = None
    try:
        image = open_picture(file, head)
    except PictureError as error:
        if not (isinstance(error, UnknownPictureError) and may_be_idx(head)):
            raise PictureError(f"{name}: {error}") from error
    if image is None:
        yield from _read_idx(file, name)
        return
    with image:
        yield from _named(name, _pages(image))


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
            with pillow():
                if frame > 0 and not _turn_to(image, frame):
                    return
                pixels += image.width * image.height
                if frame >= MAX_FRAMES or pixels > MAX_PIXELS_OF_ALL:
                    raise PictureError(f"only what comes before it is read: {_limits()}; split the file")
                page = None if frame > 0 and _is_no_page(image) else decode(image)
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
        yield f"{name}[{index}]", np.array(reduce_by_tiles(image, image.mode))


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
