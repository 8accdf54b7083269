"""Reads one picture of the user's own data, as 28x28 levels."""

import io
import os
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DatasetError
from ..picture_files import PictureError, read_picture_from
from .idx import MAX_UNPACKED
from .images import check_size, fitted


def read_picture(file: IO[bytes], name: str, *, resize: bool) -> NDArray[np.uint8]:
    """Read a picture in grey, (28, 28), scaled to that if it may be.

    Args:
        file: open, and can be sought in.
        name: what to call it in messages.
        resize: whether a picture of another size is scaled.

    Raises:
        DatasetError: it is no picture, larger than a gigabyte, or of another size in pixels, which is found
            before it is decoded.
        OSError: the file cannot be read.
    """

    def check(width: int, height: int) -> None:
        check_size(name, width, height, resize=resize)

    size = file.seek(0, os.SEEK_END)
    if size > MAX_UNPACKED:
        raise DatasetError(f"{name}: {size:,} bytes, expected a picture of {MAX_UNPACKED:,} at most")
    file.seek(0)
    whole = io.BytesIO(file.read())  # of a file itself, Pillow reads as much as a header says, up to 4 GB
    try:
        picture = read_picture_from(whole, name, check)
    except PictureError as error:
        raise DatasetError(str(error)) from error
    image: NDArray[np.uint8] = fitted(_to_grey(picture)[np.newaxis])[0]
    return image


def _to_grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Weigh colours as ITU-R BT.601 does. Behind what is clear is black if the rest is light, else white."""
    if picture.ndim == 2:
        return picture
    grey: NDArray[np.uint8] = np.array(Image.fromarray(picture[..., :3]).convert("L"))
    if picture.shape[2] == 3:
        return grey
    alpha: NDArray[np.float64] = picture[..., 3] / 255
    is_dark = float((grey * alpha).sum()) < 128 * float(alpha.sum())
    blended: NDArray[np.uint8] = np.rint(grey * alpha + 255 * is_dark * (1 - alpha)).astype(np.uint8)
    return blended
