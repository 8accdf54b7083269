"""Images and their names in rows, as a picture to be saved."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SCALE = 3  # pixels of the picture for one of an image
GAP, NAME_HEIGHT = 8, 16
PAPER, INK = 255, 0


def make_sheet(images: NDArray[np.uint8], names: Sequence[str], columns: int) -> Image.Image:
    """Draw images (n, 28, 28) in rows, light ink on black, each below its name, on white paper."""
    side = SCALE * images.shape[1]
    width, height = side + GAP, side + NAME_HEIGHT + GAP
    rows = -(-len(images) // columns)
    sheet = Image.new("L", (GAP + min(columns, len(images)) * width, GAP + rows * height), PAPER)
    for place, (image, name) in enumerate(zip(images, names, strict=True)):
        corner = (GAP + place % columns * width, GAP + place // columns * height)
        sheet.paste(_drawn_name(name, side), corner)
        enlarged = image.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
        sheet.paste(Image.fromarray(enlarged), (corner[0], corner[1] + NAME_HEIGHT))
    return sheet


def _drawn_name(name: str, width: int) -> Image.Image:
    """Draw a name; what is too long is cut. Pillow's own font has no characters beyond Latin-1."""
    drawn = Image.new("L", (width, NAME_HEIGHT), PAPER)
    printable = name.encode("latin-1", "backslashreplace").decode("latin-1")
    ImageDraw.Draw(drawn).text((0, 0), printable, fill=INK, font=ImageFont.load_default())
    return drawn
