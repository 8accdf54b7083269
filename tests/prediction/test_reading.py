"""Files become pictures."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import io
import itertools
import logging
import math
import os
import re
import struct
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from mpsmnist import picture_files
from mpsmnist.prediction import reading
from mpsmnist.prediction.pictures import prepare
from mpsmnist.prediction.reading import Picture, PictureError, read_pictures, read_pictures_from
from support.datasets import idx_bytes, write_idx
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
        "a clear level": (grey, np.dstack([colour, np.where(picture, 255, 0)])),
    }
    for name, (image, expected) in images.items():
        save(image, tmp_path / "picture.png", **({"transparency": 0} if name == "a clear level" else {}))
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


def test_cmyk_keeps_its_lightness(tmp_path: Path) -> None:
    """Printers' inks count the other way round, and Adobe's JPEGs turn them round again."""
    ink = Image.fromarray(drawing()).convert("RGB").convert("CMYK")
    for name in ("picture.jpg", "picture.tif"):
        read = read_one(save(ink, tmp_path / name))
        assert read.shape == (120, 200, 3)
        assert abs(read.astype(int) - drawing()[..., np.newaxis]).mean() < 2, name


IDX_TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def write_levels(path: Path, levels: NDArray[Any]) -> Path:
    """An IDX file of the levels' own type."""
    code = IDX_TYPES[f"{levels.dtype.kind}{levels.dtype.itemsize}"]
    sizes = struct.pack(f">{levels.ndim}I", *levels.shape)
    path.write_bytes(
        bytes([0, 0, code, levels.ndim]) + sizes + levels.astype(levels.dtype.newbyteorder(">")).tobytes()
    )
    return path


@pytest.mark.parametrize("gzipped", [False, True])
def test_idx_files_hold_many_pictures(tmp_path: Path, gzipped: bool) -> None:
    images = discs(3)[0]
    path = write_idx(tmp_path / "images", images)
    if gzipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    names, pictures = zip(*read_pictures(path), strict=True)
    assert names == tuple(f"{path}[{index}]" for index in range(3))
    np.testing.assert_array_equal(np.stack(pictures), images)


@pytest.mark.parametrize("top", [1, 16, 32, 100, 255])
@pytest.mark.parametrize("dtype", IDX_TYPES)
def test_the_levels_of_an_idx_file_are_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, dtype: str, top: int
) -> None:
    """What is white is decided on the whole file, of which one picture is dark, and said unless it is 255."""
    if dtype == "i1" and top > 127:
        pytest.skip("a signed byte holds no more than 127")
    levels = np.zeros((2, 30, 40), dtype)
    levels[0, 5:9, 5:9] = top
    levels[1, 5:9, 5:9] = top / 2
    path = write_levels(tmp_path / "images", levels)
    with caplog.at_level(logging.INFO, "mpsmnist"):
        bright, dark = (picture for _, picture in read_pictures(path))
    assert (bright.dtype, bright.min(), bright.max()) == (np.uint8, 0, 255)
    assert dark.max() == round(float(levels[1].max()) * 255 / top)
    notes = [f"{path}: its levels, 0 to {top}, are stretched to 0 to 255"] if top < 255 else []
    assert caplog.messages == notes


def test_levels_below_zero_are_darker_than_zero(tmp_path: Path) -> None:
    levels = np.array([[[-0.4242, 2.8215, 0.0]]], "f4")  # MNIST less its mean, in standard deviations
    [(_, picture)] = read_pictures(write_levels(tmp_path / "images", levels))
    assert picture.tolist() == [[0, 255, 33]]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_levels_that_are_no_numbers_are_black(tmp_path: Path, dtype: str) -> None:
    most = np.finfo(dtype).max
    levels = np.array([[[np.nan, np.inf, -np.inf, -most, most, 0.5, 1]]], dtype)
    [(_, picture)] = read_pictures(write_levels(tmp_path / "images", levels))
    assert picture.tolist() == [[0, 0, 0, 0, 0, 128, 255]]


@pytest.mark.parametrize("shape", [(3, 784), (3, 28, 28, 1), (3, 1, 28, 28)])
def test_an_idx_file_has_any_shape_that_a_trainer_takes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = discs(3)[0]
    read = read_pictures(write_levels(tmp_path / "images", images.reshape(shape)))
    np.testing.assert_array_equal(np.stack([picture for _, picture in read]), images)


@pytest.mark.parametrize("shape", [(28, 28), (3, 28, 28, 2), (0, 28, 28), (3, 0, 28), (0,), (0, 784)])
def test_an_idx_file_of_another_shape_is_said_to_be_none_of_pictures(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = write_levels(tmp_path / "images", np.ones(shape, np.uint8))
    with pytest.raises(PictureError) as caught:
        list(read_pictures(path))
    assert (
        str(caught.value) == f"{path}: holds an array of shape {shape}, expected pictures: (n, height, width)"
    )


@pytest.mark.parametrize("dtype", ["i1", "i2", "f4"])
def test_a_file_of_one_level_below_zero_is_black(tmp_path: Path, dtype: str) -> None:
    [(_, picture)] = read_pictures(write_levels(tmp_path / "images", np.full((1, 2, 2), -5, dtype)))
    assert picture.tolist() == [[0, 0], [0, 0]]


def test_a_file_of_nothing_but_black_stays_black(tmp_path: Path) -> None:
    [(_, picture)] = read_pictures(write_levels(tmp_path / "images", np.zeros((1, 2, 2), "f4")))
    assert picture.tolist() == [[0, 0], [0, 0]]


def pages(count: int = 3) -> list[Image.Image]:
    """Pictures that tell their number: the stroke is as many rows further down."""
    return [Image.fromarray(np.roll(drawing(), index, axis=0)) for index in range(count)]


@pytest.mark.parametrize("suffix", ["tif", "gif", "png", "webp", "avif"])
def test_every_page_or_frame_is_a_picture(tmp_path: Path, suffix: str) -> None:
    if suffix == "avif" and "AVIF" not in Image.registered_extensions().values():
        pytest.skip("this Pillow has no AVIF")
    first, *others = pages()
    lossless = {"quality": 100, "lossless": True} if suffix in ("webp", "avif") else {}
    path = save(first, tmp_path / f"pages.{suffix}", save_all=True, append_images=others, **lossless)
    names, read = zip(*read_pictures(path), strict=True)
    assert names == tuple(f"{path}[{index}]" for index in range(3))
    for picture, expected in zip(read, pages(), strict=True):
        grey = picture if picture.ndim == 2 else picture[..., 0]
        assert abs(grey.astype(int) - np.array(expected)).max() <= 8


def test_each_page_is_turned_as_it_says(tmp_path: Path) -> None:
    upright, turned = pages(2)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112] = 6
    turned.encoderinfo = {"tiffinfo": tags}
    path = save(upright, tmp_path / "pages.tif", save_all=True, append_images=[turned])
    (_, first), (_, second) = read_pictures(path)
    np.testing.assert_array_equal(first, np.array(upright))
    np.testing.assert_array_equal(second, np.rot90(np.array(turned), -1))


def test_the_second_picture_of_a_phones_jpeg_is_no_page(tmp_path: Path) -> None:
    """In multi-picture JPEGs phones keep depth, cameras previews and the view of the other eye."""
    first, *others = pages()
    path = save(first, tmp_path / "photo.jpg", format="MPO", save_all=True, append_images=others)
    with Image.open(path) as image:
        assert (image.format, image.n_frames) == ("MPO", 3)  # type: ignore[attr-defined]
    assert read_one(path).shape == (120, 200)


@pytest.mark.parametrize("kind", [1, 4, 5])
def test_a_preview_in_a_tiff_is_no_page(tmp_path: Path, kind: int) -> None:
    first, preview, second = pages()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = kind
    preview.encoderinfo = {"tiffinfo": tags}
    path = save(first, tmp_path / "pages.tif", save_all=True, append_images=[preview, second])
    read = list(read_pictures(path))
    assert [name for name, _ in read] == [f"{path}[0]", f"{path}[1]"]
    np.testing.assert_array_equal(read[1][1], np.array(second))
    assert read_one(save(first, path, save_all=True, append_images=[preview])).shape == (120, 200)
    assert read_one(save(first, path, tiffinfo=tags)).shape == (120, 200)  # better than nothing


def test_a_page_that_cannot_be_read_ends_the_file_and_not_what_came_before(tmp_path: Path) -> None:
    first, *others = pages()
    path = save(first, tmp_path / "pages.tif", save_all=True, append_images=others, compression="tiff_lzw")
    with Image.open(path) as image:
        image.seek(2)
        offset = image.tag_v2[273][0]  # type: ignore[attr-defined]
    data = bytearray(path.read_bytes())
    data[offset : offset + 40] = b"\xff" * 40
    path.write_bytes(data)
    reader = read_pictures(path)
    assert [next(reader)[0], next(reader)[0]] == [f"{path}[0]", f"{path}[1]"]
    with pytest.raises(PictureError, match=re.escape(f"{path}[2]: ")):
        next(reader)


def test_a_long_animation_is_read_up_to_a_limit(tmp_path: Path) -> None:
    frames = [Image.new("L", (4, 4), index % 250) for index in range(10_000)]
    path = save(frames[0], tmp_path / "long.gif", save_all=True, append_images=frames[1:])
    reader = read_pictures(path)
    names = [name for name, _ in itertools.islice(reader, reading.MAX_FRAMES)]
    assert names[-1] == f"{path}[999]"
    with pytest.raises(
        PictureError, match=r"long.gif\[1000\]: only what comes before .* at most 1,000 frames"
    ):
        next(reader)


def test_the_pixels_of_all_frames_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = pages()
    path = save(first, tmp_path / "large.gif", save_all=True, append_images=others)
    monkeypatch.setattr(reading, "MAX_PIXELS_OF_ALL", 2 * 120 * 200)
    reader = read_pictures(path)
    assert [next(reader)[0], next(reader)[0]] == [f"{path}[0]", f"{path}[1]"]
    with pytest.raises(PictureError, match=r"large.gif\[2\]: .* 48,000 pixels together; split the file"):
        next(reader)


def test_a_frame_that_outgrows_the_first_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of a GIF may be larger than its screen."""
    small, large = Image.new("L", (10, 10), 7), Image.new("L", (110, 100), 9)
    with (tmp_path / "growing.gif").open("wb") as file:
        save(small, tmp_path / "small.gif")
        save(large, tmp_path / "large.gif")
        frame = (tmp_path / "large.gif").read_bytes()
        file.write((tmp_path / "small.gif").read_bytes()[:-1] + frame[frame.index(b",\0\0\0\0") :])
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 10_000)
    reader = read_pictures(tmp_path / "growing.gif")
    assert next(reader)[1].shape[:2] == (10, 10)
    with pytest.raises(
        PictureError, match=r"growing.gif\[1\]: 110 x 100 pixels, more than 10,000: reduce it"
    ):
        next(reader)


@pytest.mark.parametrize("suffix", ["ico", "tga", "bmp", "ppm", "jp2"])
def test_formats_without_pages(tmp_path: Path, suffix: str) -> None:
    """An icon has the same picture in several sizes, of which the largest is read."""
    picture = drawing()[:100, :100]
    options = {"sizes": [(16, 16), (100, 100)]} if suffix == "ico" else {}
    read = read_one(save(Image.fromarray(picture), tmp_path / f"picture.{suffix}", **options))
    np.testing.assert_array_equal(read if read.ndim == 2 else read[..., 0], picture)


heic = pytest.mark.skipif(
    importlib.util.find_spec("pillow_heif") is None, reason="pillow-heif is not installed"
)


def write_heic(path: Path) -> Path:
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.stack([drawing()] * 3, axis=-1))
    pillow_heif.from_pillow(image).save(path, quality=90, exif=exif.tobytes())
    return path


@heic
@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_a_heic_photograph_is_read_and_turned(tmp_path: Path, brand: bytes) -> None:
    path = write_heic(tmp_path / "photo.heic")
    path.write_bytes(path.read_bytes()[:8] + brand + path.read_bytes()[12:])
    read = read_one(path)
    assert abs(read[..., 0].astype(int) - np.rot90(drawing(), -1)).mean() < 3
    assert "HEIF" not in Image.OPEN  # Pillow is left as it was


@heic
def test_the_other_pictures_of_a_heic_are_no_pages(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    bundle = pillow_heif.HeifFile()
    for page in pages(2):
        bundle.add_from_pillow(page.convert("RGB"))
    bundle.save(tmp_path / "burst.heic", quality=90, primary_index=1)
    read = read_one(tmp_path / "burst.heic")
    assert abs(read[..., 0].astype(int) - np.array(pages(2)[1])).mean() < 3


HEIC_STUB = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.parametrize("content", [HEIC_STUB, b"\0\0\0\x24ftypmif1" + bytes(40)])
def test_without_pillow_heif_a_heic_picture_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "photo.heic").write_bytes(content)
    remedy = "it is a HEIC picture: `pip install 'mpsmnist[heic]'` lets it be read, or save it as PNG or JPEG"
    with pytest.raises(PictureError, match=re.escape(f"photo.heic: {remedy}") + "$"):
        read_one(tmp_path / "photo.heic")


@heic
def test_a_damaged_heic_picture_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "photo.heic").write_bytes(HEIC_STUB)
    with pytest.raises(PictureError, match=r"photo.heic: it is a HEIC picture, but cannot be read: \S"):
        read_one(tmp_path / "photo.heic")
    whole = write_heic(tmp_path / "photo.heic").read_bytes()
    (tmp_path / "photo.heic").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(PictureError, match=r"photo.heic: \S"):
        read_one(tmp_path / "photo.heic")


def test_an_open_file_is_read_by_the_name_it_is_given() -> None:
    buffer = io.BytesIO()
    pages()[0].save(buffer, "TIFF", save_all=True, append_images=pages()[1:])
    assert [name for name, _ in read_pictures_from(buffer, "stdin")] == ["stdin[0]", "stdin[1]", "stdin[2]"]
    [(name, picture)] = read_pictures_from(io.BytesIO(idx_bytes(discs(1)[0])), "stdin")
    assert (name, picture.shape) == ("stdin[0]", (28, 28))


def test_a_folder_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r": it is a folder, expected a file: name the pictures in it$"):
        read_one(tmp_path)


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
        (b"hello world", r"neither a picture that can be read \(PNG, .*, HEIC\) nor an IDX file$"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 40, "neither|Truncated|broken"),
        (b"<?xml version='1.0'?>\n<svg xmlns=''/>", "it is an SVG drawing: save it as PNG or JPEG$"),
        (b"%PDF-1.7", "it is a PDF document: save it as PNG or JPEG$"),
        (b"\0\0\x08\x03\0\0", "truncated"),
        (b"\0\0\x08\x01\0\0\0\x01\x05", r"holds labels, expected pictures: \(n, height, width\)"),
        (
            b"\0\0\x08\x03" + b"\0\0\0\x02\0\0\0\0\0\0\0\x1c",
            r"holds an array of shape \(2, 0, 28\), expected",
        ),
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
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 1100 * 1100)
    drawn = drawing(1200, 2000).repeat(4, 0).repeat(4, 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(Image.fromarray(255 - drawn), tmp_path / "photo.jpg", exif=exif)
    monkeypatch.setattr(picture_files, "WORKING_SIDE", 512)
    picture = read_one(path)
    assert picture.shape == (500, 300)
    expected = Image.fromarray(np.rot90(255 - drawing(1200, 2000), -1).copy()).reduce(4)
    assert abs(picture.astype(int) - np.asarray(expected)).max() <= 20


@pytest.mark.parametrize(("width", "height"), [(101, 100), (10001, 1), (1, 10001)])
def test_too_many_pixels_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 10_000)
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

    monkeypatch.setattr(reading, "decode", decode)
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
    "error",
    [
        OSError("odd\nlines\n"),
        NotImplementedError("odd"),
        KeyError("odd"),
        struct.error("odd"),
        MemoryError("odd"),
    ],
)
def test_whatever_pillow_raises_is_an_error_of_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    path = write_png(tmp_path / "picture.png", drawing())
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(PictureError, match=r"picture.png: cannot be read: .*odd( lines)?\W?$"):
        read_one(path)


KINDS = {
    **{kind: {} for kind in ("PNG", "JPEG", "BMP", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA", "ICO", "DDS")},
    **{kind: {"save_all": True} for kind in ("GIF", "MPO")},
    "TIFF": {"save_all": True, "compression": "tiff_lzw"},
    "HEIF": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_mutations_are_read_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    """A hundred files with a few bytes changed, most of them in the header, and no word on stderr."""
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 1_000_000)
    path = tmp_path / "picture"
    if kind == "HEIF":
        pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
        write_heic(path)
    elif kind == "AVIF" and "AVIF" not in Image.registered_extensions().values():
        pytest.skip("this Pillow has no AVIF")
    else:
        image = Image.fromarray(drawing(30, 40)).convert("RGB")
        save(image, path, format=kind, append_images=[image.rotate(90)], **KINDS[kind])
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
    assert capfd.readouterr().err == ""


def test_what_libtiff_prints_is_kept_back_and_stderr_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save(Image.fromarray(drawing()), tmp_path / "picture.tif", compression="tiff_lzw")
    path.write_bytes(path.read_bytes().replace(b"\x80\x00", b"\xff\xff", 1))
    with pytest.raises(PictureError, match=r"picture.tif: \S"):
        read_one(path)
    os.write(2, b"later")
    assert capfd.readouterr().err == "later"


def test_a_tiff_is_read_by_a_process_without_stderr(tmp_path: Path) -> None:
    """Its file may then be descriptor 2."""
    path = save(Image.fromarray(drawing()), tmp_path / "picture.tif", compression="tiff_lzw")
    script = "import os, sys; from mpsmnist.prediction.reading import read_pictures; os.close(2)"
    script += "; print(len(list(read_pictures(sys.argv[1]))))"
    done = subprocess.run(
        [sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1\n")


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
        (b"\0\0\x0d\x03" + b"\0\0\0\1" * 3, "its header declares 32-bit floats .* can hold at most 16"),
        (b"\0\0\x42\x03" + b"\0\0\0\1" * 3, "neither a picture .* nor an IDX file"),
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


def test_an_idx_file_that_does_not_fit_into_memory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise MemoryError("Unable to allocate 381 MiB")

    monkeypatch.setattr(reading, "_range_of", fail)
    path = write_idx(tmp_path / "pictures", np.zeros((1, 28, 28), np.uint8))
    with pytest.raises(PictureError, match=f"^{path}: more than fits into memory: split the file$"):
        list(read_pictures(path))
