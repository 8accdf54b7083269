"""Prediction from pictures: the preparation, the files it reads, and the command line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mpsmnist
from examples import discs
from mpsmnist import predict
from mpsmnist.checkpoint import Checkpoint, save
from mpsmnist.predict import Prediction, format_prediction, load_trainer, predict_picture
from mpsmnist.prediction.pictures import BOX, CENTRE, PictureError, prepare, read_pictures
from mpsmnist.training.config import TrainConfig
from runs import json_lines, run, write_idx

Grey = NDArray[np.uint8]
Main = Callable[..., tuple[int, str, str]]


def drawing(height: int = 120, width: int = 200) -> Grey:
    """A slanted stroke of light ink on black, off centre and thicker below."""
    rows, columns = np.mgrid[:height, :width]
    stroke = (abs(columns - 60 - 0.4 * rows) < 4 + rows / 8) & (rows > 20) & (rows < 90)
    return np.where(stroke, 230, 0).astype(np.uint8)


def save_checkpoint(path: Path, num_classes: int = 10) -> mpsmnist.Trainer:
    """Save the initial weights of seed 3; gives their trainer."""
    trainer = mpsmnist.Trainer(device="cpu", seed=3, init="he", num_classes=num_classes)
    options = TrainConfig().saved_options()
    fields = {"step": 0, "total_steps": 1, "dataset": "discs", "fingerprint": "0"}
    save(path, Checkpoint(state=trainer.state_dict(), options=options, num_classes=num_classes, **fields))  # type: ignore[arg-type]
    return trainer


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, mpsmnist.Trainer]:
    path = tmp_path_factory.mktemp("weights") / "run.safetensors"
    return path, save_checkpoint(path)


@pytest.fixture
def main(weights: tuple[Path, mpsmnist.Trainer], capsys: pytest.CaptureFixture[str]) -> Main:
    """Run the command line in this process; gives the exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        usual = ("--checkpoint", weights[0], "--device", "cpu")
        try:
            code = predict.main([str(argument) for argument in (*usual, *arguments)])
        except SystemExit as exit_:  # argparse
            code = int(exit_.code or 0)
        return code, *capsys.readouterr()

    return call


def write_png(path: Path, picture: Grey) -> Path:
    Image.fromarray(picture).save(path)
    return path


def centre_of_mass(pixels: Grey) -> tuple[float, float]:
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    return float((rows * pixels).sum() / pixels.sum()), float((columns * pixels).sum() / pixels.sum())


def ink_size(pixels: Grey) -> tuple[int, int]:
    rows, columns = np.nonzero(pixels)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_a_picture_as_mnists_is_taken_as_it_is() -> None:
    image = discs(1)[0][0]
    digit = prepare(image)
    np.testing.assert_array_equal(digit.pixels, image)
    assert not digit.inverted


def test_a_small_picture_on_grey_paper_is_not() -> None:
    image = discs(1)[0][0] // 2 + 100
    digit = prepare(image)
    assert (digit.pixels[0, 0], digit.inverted) == (0, False)
    assert digit.pixels.max() == 255


@pytest.mark.parametrize("shape", [(120, 200), (100, 110), (500, 130)])
def test_a_drawing_is_fitted_and_centred_as_mnists_digits_are(shape: tuple[int, int]) -> None:
    digit = prepare(drawing(*shape))
    assert digit.pixels.shape == (28, 28)
    assert digit.pixels.dtype == np.uint8
    assert digit.pixels.max() == 255
    assert max(ink_size(digit.pixels)) == BOX
    row, column = centre_of_mass(digit.pixels)
    assert abs(row - CENTRE) <= 0.5
    assert abs(column - CENTRE) <= 0.5


def test_proportions_are_kept() -> None:
    bar = np.zeros((300, 300), np.uint8)
    bar[100:200, 140:160] = 255
    assert ink_size(prepare(bar).pixels) == (20, 4)
    assert ink_size(prepare(bar.T).pixels) == (4, 20)


def test_one_dot_fills_the_box() -> None:
    dot = np.zeros((50, 50), np.uint8)
    dot[49, 0] = 100
    assert ink_size(prepare(dot).pixels) == (20, 20)


def test_place_size_ink_and_paper_do_not_matter() -> None:
    """The same stroke elsewhere, larger, fainter, dark on light, on grey paper and with grain."""
    original = drawing()
    expected = prepare(original).pixels.astype(int)
    grain = np.random.default_rng(0).integers(0, 12, original.shape).astype(np.uint8)
    variants = {
        "moved": np.roll(original, (15, 40), (0, 1)),
        "twice as large": original.repeat(2, 0).repeat(2, 1),
        "fainter": original // 2,
        "dark on light": 255 - original,
        "on grey paper": 200 - original // 2,
        "with grain": original + grain,
    }
    for name, picture in variants.items():
        difference = abs(prepare(picture).pixels.astype(int) - expected)
        assert difference.max() <= 20, name  # the noise floor cuts a tenth of the ink; resampling rounds


def test_dark_on_light_is_seen_at_the_border() -> None:
    assert prepare(255 - drawing()).inverted
    assert not prepare(drawing()).inverted


def test_invert_overrules_the_border() -> None:
    """A frame fools the look at the border; only then do the two differ."""
    framed = np.pad(255 - drawing(), 3, constant_values=0)
    assert not prepare(framed).inverted
    assert prepare(255 - drawing(), invert=True).inverted
    with pytest.raises(PictureError, match="blank"):
        prepare(255 - drawing(), invert=False)  # nothing is lighter than the paper


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(28, 28), (40, 50), (1, 1)])
def test_a_blank_picture_is_refused(shape: tuple[int, int], level: int) -> None:
    blank = np.full(shape, level, np.uint8)
    blank[0, 0] ^= 1
    with pytest.raises(PictureError, match="blank"):
        prepare(blank)


def read_one(path: Path) -> Grey:
    [(name, picture)] = read_pictures(path)
    assert name == str(path)
    return picture


def test_every_kind_of_png_gives_the_same_grey(tmp_path: Path) -> None:
    picture = drawing()
    grey = Image.fromarray(picture)
    clear = np.zeros((*picture.shape, 4), np.uint8)
    clear[..., :3] = 230
    clear[..., 3] = np.where(picture, 255, 0)
    images = {
        "grey": grey,
        "colour": grey.convert("RGB"),
        "palette": grey.convert("P"),
        "opaque": grey.convert("RGBA"),
        "light ink on nothing": Image.fromarray(clear),
    }
    for name, image in images.items():
        image.save(tmp_path / "picture.png")
        np.testing.assert_array_equal(read_one(tmp_path / "picture.png"), picture, err_msg=name)


def test_16_bits_keep_their_contrast(tmp_path: Path) -> None:
    Image.fromarray(drawing().astype(np.uint16) * 100).save(tmp_path / "picture.png")
    assert np.unique(read_one(tmp_path / "picture.png")).tolist() == [0, 255]


def test_dark_ink_on_nothing_is_on_white_paper(tmp_path: Path) -> None:
    clear = np.zeros((30, 30, 4), np.uint8)
    clear[10:20, 14:16, 3] = 255
    Image.fromarray(clear).save(tmp_path / "picture.png")
    picture = read_one(tmp_path / "picture.png")
    assert (picture[0, 0], picture[15, 15]) == (255, 0)


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "neither a picture nor an IDX file"),
        (b"hello world", "neither a picture nor an IDX file"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 40, "neither|Truncated|broken"),
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


def test_a_picture_gets_the_networks_own_probabilities(weights: tuple[Path, mpsmnist.Trainer]) -> None:
    path, trainer = weights
    image = discs(1)[0][0]
    result = predict_picture(load_trainer(path, "cpu"), "disc", image)
    expected = trainer.predict(image[np.newaxis])[0]
    assert result.probabilities == expected.tolist()
    assert (result.image, result.digit, result.inverted) == ("disc", int(expected.argmax()), False)


def test_weights_of_another_number_of_classes(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run", num_classes=26)
    result = predict_picture(load_trainer(tmp_path / "run", "cpu"), "disc", discs(1)[0][0])
    assert len(result.probabilities) == 26
    assert sum(result.probabilities) == pytest.approx(1, abs=1e-5)


def test_the_bar_chart() -> None:
    probabilities = [0.0, 0.001, 0.75, 0.249, *[0.0] * 6]
    lines = format_prediction(Prediction("two.png", 2, probabilities, True)).splitlines()
    assert lines[0] == "two.png: 2 (dark on light: inverted)"
    assert lines[1] == "   0   0.00%"
    assert lines[2] == "   1   0.10%"
    assert lines[3] == "   2  75.00% " + "#" * 30
    assert lines[4] == "   3  24.90% " + "#" * 10
    assert len(lines) == 11


def test_pictures_on_the_command_line(main: Main, tmp_path: Path) -> None:
    images = discs(2)[0]
    png = write_png(tmp_path / "a.png", 255 - drawing())
    idx = write_idx(tmp_path / "images", images)
    code, out, err = main(png, idx)
    assert (code, err) == (0, "")
    assert [line.split(": ")[0] for line in out.splitlines()[::11]] == [str(png), f"{idx}[0]", f"{idx}[1]"]
    assert out.splitlines()[0].endswith("(dark on light: inverted)")

    code, out, err = main(png, idx, "--json")
    assert (code, err) == (0, "")
    results = json_lines(out)
    assert [list(result) for result in results] == [["image", "digit", "probabilities", "inverted"]] * 3
    assert [result["inverted"] for result in results] == [True, False, False]
    for result in results:
        assert len(result["probabilities"]) == 10
        assert result["digit"] == int(np.argmax(result["probabilities"]))


def test_invert_on_the_command_line(main: Main, tmp_path: Path) -> None:
    framed = write_png(tmp_path / "framed.png", np.pad(255 - drawing(), 3, constant_values=0))
    told = [json.loads(main(framed, "--json", *option)[1])["inverted"] for option in ([], ["--no-invert"])]
    assert told == [False, False]
    plain = write_png(tmp_path / "plain.png", 255 - drawing())
    assert json.loads(main(plain, "--json", "--invert")[1])["inverted"] is True
    assert main(plain, "--no-invert")[0] == 1


def test_one_bad_picture_does_not_hide_the_others(main: Main, tmp_path: Path) -> None:
    blank = write_idx(tmp_path / "images", np.stack([np.zeros((28, 28), np.uint8), discs(1)[0][0]]))
    code, out, err = main(tmp_path / "absent.png", blank, "--json")
    assert code == 1
    assert [result["image"] for result in json_lines(out)] == [f"{blank}[1]"]
    assert err.splitlines() == [
        f"python -m mpsmnist.predict: {tmp_path}/absent.png: No such file or directory",
        f"python -m mpsmnist.predict: {blank}[0]: the picture is blank: nothing differs from its border",
    ]


def test_a_bad_checkpoint_is_named(main: Main, tmp_path: Path) -> None:
    png = write_png(tmp_path / "a.png", drawing())
    code, out, err = main(png, "--checkpoint", tmp_path / "absent")
    assert (code, out) == (1, "")
    assert "absent' does not exist" in err
    code, out, err = main(png, "--checkpoint", png)
    assert (code, out) == (1, "")
    assert "not a readable safetensors file" in err


@pytest.mark.parametrize(
    "arguments", [[], ["a.png", "--threads", "0"], ["a.png", "--device", "cuda"], ["--nonsense"]]
)
def test_bad_usage(main: Main, arguments: list[str]) -> None:
    assert main(*arguments)[0] == 2


def test_it_runs_as_a_module(weights: tuple[Path, mpsmnist.Trainer], tmp_path: Path) -> None:
    png = write_png(tmp_path / "a.png", drawing())
    done = run("predict", png, "--checkpoint", weights[0], "--device", "cpu", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["image"] == str(png)
