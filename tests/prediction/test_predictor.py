"""What the network says about a picture."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpsmnist.checkpoint import load, save
from mpsmnist.data.sources import DIGITS
from mpsmnist.predict import load_network, predict_digits, predict_picture, read_pictures
from mpsmnist.prediction import pictures
from mpsmnist.prediction.doubt import reason_to_doubt
from mpsmnist.prediction.pictures import prepare
from mpsmnist.training.familiarity import learn
from support.examples import discs
from support.pictures import drawing, save_weights, write_png


def test_a_picture_gets_the_networks_own_probabilities(tmp_path: Path) -> None:
    trainer = save_weights(tmp_path / "run")
    image = discs(1)[0][0]
    result = predict_picture(load_network(tmp_path / "run", "cpu"), "disc", image)
    np.testing.assert_array_equal(result.pixels, prepare(image).pixels)
    expected = trainer.predict(result.pixels[np.newaxis])[0]
    assert result.probabilities == expected.tolist()
    assert (result.image, result.digit, result.inverted) == ("disc", int(expected.argmax()), False)


def test_the_digits_of_a_picture_are_read_in_their_order(tmp_path: Path) -> None:
    save_weights(tmp_path / "run")
    network = load_network(tmp_path / "run", "cpu")
    halves = [drawing(120, 120), drawing(120, 120)[:, ::-1]]
    expected = [predict_picture(network, "a", half).pixels for half in halves]
    read = predict_digits(network, "a", np.hstack(halves))
    assert [prediction.image for prediction in read] == ["a", "a"]
    for prediction, pixels in zip(read, expected, strict=True):
        assert abs(prediction.pixels.astype(int) - pixels).mean() < 3


def test_several_digits_are_a_reason_for_doubt(tmp_path: Path) -> None:
    save_weights(tmp_path / "run")
    two = np.hstack([drawing(120, 120)] * 2)
    unsure = predict_picture(load_network(tmp_path / "run", "cpu"), "a", two).unsure
    assert unsure is not None
    assert "--many" in unsure


def test_a_line_from_edge_to_edge_is_a_reason_for_doubt(tmp_path: Path) -> None:
    save_weights(tmp_path / "run")
    picture = np.full((120, 120), 235, np.uint8)
    picture[:, 59:62] = 40
    result = predict_picture(load_network(tmp_path / "run", "cpu"), "fold", picture)
    assert result.unsure == "a line from edge to edge: a fold, or a 1"


def test_a_picture_of_several_digits_is_searched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_weights(tmp_path / "run")
    network = load_network(tmp_path / "run", "cpu")
    searches = []
    levels = pictures.to_levels
    monkeypatch.setattr(pictures, "to_levels", lambda picture: searches.append(1) or levels(picture))
    predict_picture(network, "a", np.hstack([drawing(120, 120)] * 2))
    assert len(searches) == 1


def test_what_is_unlike_the_training_images_is_doubted(tmp_path: Path) -> None:
    """Discs are learned from, and known again when they come from the checkpoint."""
    images, labels = discs(2400)
    learned = learn(images, labels)
    assert learned is not None
    saver = save_weights(tmp_path / "run")
    saved = load(tmp_path / "run")
    save(tmp_path / "run", replace(saved, familiarity=learned._asdict()))
    network = load_network(tmp_path / "run", "cpu")
    assert network.familiarity is not None
    np.testing.assert_array_equal(network.familiarity.centres, learned.centres)
    strange = predict_picture(network, "stroke", drawing())
    assert strange.unsure is not None
    assert strange.unsure == reason_to_doubt(
        saver.predict(strange.pixels[np.newaxis])[0], strange.pixels, learned, DIGITS
    )


def test_weights_of_another_number_of_classes(tmp_path: Path) -> None:
    save_weights(tmp_path / "run", string.ascii_uppercase)
    result = predict_picture(load_network(tmp_path / "run", "cpu"), "disc", discs(1)[0][0])
    assert len(result.probabilities) == 26
    assert result.answer == string.ascii_uppercase[result.digit]
    assert sum(result.probabilities) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("read", [predict_picture, predict_digits])
@pytest.mark.parametrize(
    ("picture", "error", "words"),
    [
        (
            drawing() / 255,
            TypeError,
            r"picture has the dtype float64, expected uint8 .*: levels are 0 to 255",
        ),
        (drawing() > 0, TypeError, "picture has the dtype bool, expected uint8"),
        (drawing().astype(int), TypeError, "picture has the dtype int64, expected uint8"),
        ("seven.png", TypeError, r"picture is a str, expected a NumPy array: read_pictures\(\) makes one"),
        (None, TypeError, "picture is a NoneType"),
        (
            drawing()[np.newaxis],
            ValueError,
            r"picture has the shape \(1, 120, 200\), expected uint8 of shape",
        ),
        (drawing()[..., np.newaxis], ValueError, r"the shape \(120, 200, 1\)"),
        (drawing().ravel(), ValueError, r"the shape \(24000,\)"),
        (drawing()[:0], ValueError, r"the shape \(0, 200\)"),
    ],
)
def test_what_is_no_picture_is_refused_and_not_called_blank(
    tmp_path: Path, read: Any, picture: Any, error: type[Exception], words: str
) -> None:
    save_weights(tmp_path / "run")
    with pytest.raises(error, match=words):
        read(load_network(tmp_path / "run", "cpu"), "a", picture)


def test_a_file_is_read_in_three_lines_of_python(tmp_path: Path) -> None:
    save_weights(tmp_path / "run")
    png = write_png(tmp_path / "a.png", drawing())
    network = load_network(tmp_path / "run", "cpu")
    [answer] = [predict_picture(network, name, picture) for name, picture in read_pictures(png)]
    assert answer.image == str(png)
