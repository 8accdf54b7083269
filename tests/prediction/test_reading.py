"""Files become pictures."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import struct
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mpsmnist.prediction import reading
from mpsmnist.prediction.pictures import prepare
from mpsmnist.prediction.reading import Picture, PictureError, read_pictures
from support.datasets import write_idx
from support.examples import discs
from support.pictures import drawing, write_png


def read_one(path: Path) -> Picture:
    [(name, picture)] = read_pictures(path)
    assert name == str(path)
    return picture


def test_every_kind_of_png_is_grey_or_colour_or_colour_with_alpha(tmp_path: Path) -> None:
    picture = drawing()
    grey = Image.fromarray(picture)
    colour = np.stack([picture] * 3, axis=-1)
    opaque = np.dstack([colour, np.full_like(picture, 255)])
    clear = np.zeros((*picture.shape, 4), np.uint8)
    clear[..., 0] = 200
    clear[..., 3] = picture
    images = {
        "grey": (grey, picture),
        "one bit": (grey.convert("1", dither=Image.Dither.NONE), np.where(picture, 255, 0)),
        "colour": (grey.convert("RGB"), colour),
        "palette": (grey.convert("P"), colour),
        "grey and opaque": (grey.convert("LA"), opaque),
        "opaque": (grey.convert("RGBA"), opaque),
        "clear": (Image.fromarray(clear), clear),
    }
    for name, (image, expected) in images.items():
        image.save(tmp_path / "picture.png")
        read = read_one(tmp_path / "picture.png")
        assert read.dtype == np.uint8, name
        np.testing.assert_array_equal(read, expected, err_msg=name)


def test_16_bits_keep_their_contrast(tmp_path: Path) -> None:
    Image.fromarray(drawing().astype(np.uint16) * 100).save(tmp_path / "picture.png")
    assert np.unique(read_one(tmp_path / "picture.png")).tolist() == [0, 255]


def test_a_turned_photograph_is_turned_back(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees to show
    Image.fromarray(drawing()).save(tmp_path / "picture.png", exif=exif)
    np.testing.assert_array_equal(read_one(tmp_path / "picture.png"), np.rot90(drawing(), -1))


@pytest.mark.parametrize("gzipped", [False, True])
def test_idx_files_hold_many_pictures(tmp_path: Path, gzipped: bool) -> None:
    images = discs(3)[0]
    path = write_idx(tmp_path / "images", images)
    if gzipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    names, pictures = zip(*read_pictures(path), strict=True)
    assert names == tuple(f"{path}[{index}]" for index in range(3))
    np.testing.assert_array_equal(np.stack(pictures), images)


def test_a_jpeg_2000_is_no_idx_file(tmp_path: Path) -> None:
    """Both begin with two zero bytes."""
    path = tmp_path / "picture.jp2"
    Image.fromarray(discs(1)[0][0]).save(path)
    assert path.read_bytes().startswith(b"\0\0")
    ((name, picture),) = read_pictures(path)
    assert name == str(path)
    assert picture.shape == (28, 28)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is an empty file$"),
        (b"hello world", r"neither a picture \(PNG, .*\) nor an IDX file"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 40, "neither|Truncated|broken"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "it is a HEIC picture: save it as PNG or JPEG$"),
        (b"\0\0\0\x24ftypmif1" + bytes(40), "it is a HEIC picture: save it as PNG or JPEG$"),
        (b"<?xml version='1.0'?>\n<svg xmlns=''/>", "it is an SVG drawing: save it as PNG or JPEG$"),
        (b"%PDF-1.7", "it is a PDF document: save it as PNG or JPEG$"),
        (b"\0\0\x08\x03\0\0", "truncated"),
        (b"\0\0\x08\x01\0\0\0\x01\x05", "expected shape"),
        (b"\0\0\x08\x03" + b"\0\0\0\x02\0\0\0\0\0\0\0\x1c", "expected uint8 pictures"),
        (b"\x1f\x8b junk", "gzip"),
    ],
)
def test_files_that_are_no_pictures_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=words) as error:
        list(read_pictures(path))
    assert str(error.value).startswith(f"{path}: ")


def test_a_truncated_png_is_named(tmp_path: Path) -> None:
    path = write_png(
        tmp_path / "picture.png", np.random.default_rng(0).integers(0, 255, (90, 90)).astype(np.uint8)
    )
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(PictureError, match=str(path)):
        list(read_pictures(path))


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("shape", [(1500, 2100), (3001, 900), (40, 9000)])
def test_a_large_picture_is_reduced(tmp_path: Path, mode: str, shape: tuple[int, int]) -> None:
    picture = np.zeros(shape, np.uint8)
    picture[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = 255
    image = Image.fromarray(picture)
    image = Image.fromarray(picture.astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    small = read_one(save(image, tmp_path / "picture.png", compress_level=1))
    factor = math.ceil(max(shape) / 2048)
    assert small.shape[:2] == tuple(math.ceil(side / factor) for side in shape)
    small = small[..., 0] if small.ndim == 3 else small
    assert (small[-1, -1], small.max()) == (0, 255)
    for axis in (0, 1):
        inked = np.flatnonzero(small.max(axis=1 - axis))
        assert abs(inked[0] - shape[axis] / 4 / factor) <= 1
        assert abs(inked[-1] + 1 - shape[axis] / 2 / factor) <= 1


def test_a_photograph_is_reduced_while_it_is_decoded_and_turned_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_PIXELS", 1100 * 1100)
    drawn = drawing(1200, 2000).repeat(4, 0).repeat(4, 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(Image.fromarray(255 - drawn), tmp_path / "photo.jpg", exif=exif)
    monkeypatch.setattr(reading, "WORKING_SIDE", 512)
    picture = read_one(path)
    assert picture.shape == (500, 300)
    expected = prepare(np.rot90(drawing(1200, 2000), -1)).pixels.astype(int)
    assert abs(prepare(picture).pixels - expected).max() <= 20


@pytest.mark.parametrize(("width", "height"), [(101, 100), (10001, 1), (1, 10001)])
def test_too_many_pixels_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    monkeypatch.setattr(reading, "MAX_PIXELS", 10_000)
    path = write_png(tmp_path / "picture.png", np.zeros((height, width), np.uint8))
    path.write_bytes(path.read_bytes()[:50])  # what follows the header is not needed
    with pytest.raises(
        PictureError, match=f"picture.png: {width} x {height} pixels, more than 10,000: reduce it$"
    ):
        read_one(path)


MEASURE = """
import resource, sys
from mpsmnist.prediction.pictures import prepare
from mpsmnist.prediction.reading import read_pictures
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _, picture in read_pictures(sys.argv[1]):
    prepare(picture)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("kind", ["png", "idx"])
def test_a_small_file_of_many_pixels_takes_little_memory(tmp_path: Path, kind: str) -> None:
    """36 megapixels. In double precision they would take 288 MB, and twice that with what is computed."""
    picture = np.zeros((6000, 6000), np.uint8)
    picture[2000:4000, 2900:3100] = 255
    if kind == "png":
        path = save(Image.fromarray(picture).convert("1"), tmp_path / "picture.png")
        assert path.stat().st_size < 20_000
    else:
        path = write_idx(tmp_path / "pictures", picture[np.newaxis])
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True, timeout=60
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(measured.stdout) * unit < 250e6


def test_pillows_warnings_are_kept_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)  # more is a warning, an error in these tests
    assert read_one(write_png(tmp_path / "picture.png", drawing())).shape == (120, 200)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(PictureError, match=r"picture.png: 24,000 pixels, more than 20,000: reduce it$"):
        read_one(tmp_path / "picture.png")


def test_pictures_in_several_threads_leave_the_warnings_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_png(tmp_path / "picture.png", drawing())
    before = list(warnings.filters)
    second_decodes, first_ended = threading.Event(), threading.Event()

    def decode(_: object) -> Picture:
        if threading.current_thread().name == "first":
            second.start()
            second_decodes.wait(0.2)  # which it must not
        else:
            second_decodes.set()
            first_ended.wait(30)
        return drawing()

    def read_first() -> None:
        read_one(path)
        first_ended.set()

    monkeypatch.setattr(reading, "_decode", decode)
    first = threading.Thread(target=read_first, name="first")
    second = threading.Thread(target=read_one, args=(path,), name="second")
    first.start()
    first.join(30)
    second.join(30)
    assert warnings.filters == before


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    levels = drawing().astype(np.float32) / 230
    levels[0, :4] = np.nan, np.inf, -np.inf, -1
    picture = read_one(save(Image.fromarray(levels), tmp_path / "picture.tif"))
    assert np.unique(picture).tolist() == [0, 255]


@pytest.mark.parametrize(
    "error", [NotImplementedError("odd"), KeyError("odd"), struct.error("odd"), MemoryError("odd")]
)
def test_whatever_pillow_raises_is_an_error_of_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    path = write_png(tmp_path / "picture.png", drawing())
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(PictureError, match=r"picture.png: .*odd"):
        read_one(path)


@pytest.mark.parametrize(
    "kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "JPEG2000", "PPM", "DDS", "ICO"]
)
def test_mutations_are_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A hundred files with a few bytes changed, most of them in the header."""
    monkeypatch.setattr(reading, "MAX_PIXELS", 1_000_000)
    path = save(Image.fromarray(drawing(30, 40)).convert("RGB"), tmp_path / "picture", format=kind)
    data = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(100):
        mutated = bytearray(data)
        for position in random.integers(0, random.choice([130, len(data)]), random.integers(1, 6)):
            mutated[position % len(data)] = random.choice([0, 1, 127, 255, random.integers(256)])
        path.write_bytes(mutated)
        with contextlib.suppress(PictureError):
            for _, picture in read_pictures(path):
                prepare(picture)


def test_a_format_that_runs_programs_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(Image.fromarray(drawing()), tmp_path / "picture.eps")
    with Image.open(path) as image:
        assert image.format == "EPS"
    with pytest.raises(PictureError, match="neither a picture"):
        read_one(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html>\n<html>", "it is an HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        (b"\0\0\x0d\x03" + b"\0\0\0\1" * 3 + bytes(4), r"unsupported IDX type 0x0d \(32-bit floats\)"),
    ],
)
def test_what_a_file_is_instead_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "7.png").write_bytes(content)
    with pytest.raises(PictureError, match=f"7.png: {words}"):
        read_one(tmp_path / "7.png")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "picture.png")
    with pytest.raises(PictureError, match=r"picture.png: it is a pipe, expected a file"):
        read_one(tmp_path / "picture.png")
