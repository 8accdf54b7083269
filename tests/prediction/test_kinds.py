"""Which pictures a network of the fast preset reads, and which it is unsure of, by kind of picture.

A kind has few pictures here: bounds leave room for three standard deviations of so few, and the figures of
benchmarks/pictures.py are exact.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator

import numpy as np
import pytest

from mpsmnist.prediction.predictor import Network, Prediction, predict_picture
from mpsmnist.prediction.reading import PictureError, read_pictures_from
from support import clean_kinds
from support.handwriting import KINDS, samples
from support.ink import fonts, left_out, print_type
from support.not_digits import NOT_DIGITS, pictures

PICTURES = 5  # of a kind
# The first ten are MNIST's test digits, the next a thin pen's, beside which shadows and rules matter more.
TEN = {"clean": 0, "photo": 10}
PHONE_PICTURES = 1  # of a megapixel each
NOT_DIGIT_PICTURES = 6
DOUBTED = ("hand_shadow",)  # a shadow's edge may be taken for ink, so that these are often unsure
# What the distance to training images cannot tell from digits: see prediction/doubt.py.
TAKEN_FOR_DIGITS = ("letters_like_digits", "crossed_out")


def predict(network: Network, file: bytes) -> Prediction | None:
    """None: refused as blank."""
    try:
        ((name, picture),) = read_pictures_from(io.BytesIO(file), "picture")
        return predict_picture(network, name, picture)
    except PictureError:
        return None


def answers(network: Network, sort: str) -> Iterator[tuple[str, list[bool], list[bool]]]:
    """For each kind its name, whether each digit was read, and whether the answer was unsure.

    A kind begins where the one before it ended: together they have every digit.
    """
    first = 0
    for kind in KINDS:
        if kind.sort == sort:
            count = PHONE_PICTURES if kind.name == "phone_photo" else PICTURES
            drawn = [
                (sample.digit, predict(network, sample.file))
                for sample in samples(kind, count, seed=7, first=TEN[sort] + first)
            ]
            first = (first + count) % (11 - count)
            read = [answer is not None and answer.digit == digit for digit, answer in drawn]
            yield kind.name, read, [answer is None or answer.unsure is not None for _, answer in drawn]


def room(share: float, count: int) -> float:
    """Three standard deviations of a share of `count`."""
    return 3 * math.sqrt(share * (1 - share) / count)


@pytest.mark.parametrize(("sort", "least"), [("clean", 0.99), ("photo", 0.95)])
def test_digits_are_read_and_hardly_doubted(network: Network, sort: str, least: float) -> None:
    for reason in left_out():
        print(reason)
    table = {name: (read, unsure) for name, read, unsure in answers(network, sort)}
    read = [right for rights, _ in table.values() for right in rights]
    assert np.mean(read) >= least - room(least, len(read)), table
    for rights, _ in table.values():
        assert sum(rights) >= len(rights) - 1, table
    unsure = [doubt for name, (_, doubts) in table.items() if name not in DOUBTED for doubt in doubts]
    assert np.mean(unsure) <= 0.02 + room(0.02, len(unsure)), table


def test_printed_digits_are_read_and_hardly_doubted(network: Network) -> None:
    if not fonts():
        pytest.skip(next(left_out()))
    rng = np.random.default_rng(0)
    read, doubted = [], []
    for font in fonts():
        for digit in range(10):
            picture = clean_kinds.black_on_white(print_type(str(digit), font), rng)
            answer = predict_picture(network, "", picture)
            read.append(answer.digit == digit)
            doubted += [digit] if answer.unsure else []
    assert np.mean(read) >= 0.97
    assert len(doubted) <= 0.02 * len(read), doubted


def share_unsure(network: Network, name: str, count: int) -> float:
    (kind,) = (kind for kind in NOT_DIGITS if kind.name == name)
    drawn = [predict(network, file) for _, file in pictures(kind, count, seed=7)]
    return float(np.mean([answer is None or answer.unsure is not None for answer in drawn]))


def shares_unsure(network: Network, blank: bool, count: int) -> dict[str, float]:
    """By kind of picture without a digit, or with more than one, the share of answers that are unsure."""
    names = [kind.name for kind in NOT_DIGITS if kind.name.startswith("blank") == blank]
    return {name: share_unsure(network, name, count) for name in names if name not in TAKEN_FOR_DIGITS}


def test_what_is_no_digit_is_unsure(network: Network) -> None:
    shares = shares_unsure(network, False, NOT_DIGIT_PICTURES)
    assert min(shares.values()) >= 0.9 - room(0.9, NOT_DIGIT_PICTURES), shares
    assert np.mean([*shares.values()]) >= 0.9 - room(0.9, NOT_DIGIT_PICTURES * len(shares)), shares


@pytest.mark.parametrize("name", ["blank_folded", "blank_scan_with_dust"])
def test_folds_and_the_lids_of_scanners_are_no_digits(network: Network, name: str) -> None:
    assert share_unsure(network, name, 12) >= 0.9


def test_blank_pictures_are_unsure_or_refused(network: Network) -> None:
    shares = shares_unsure(network, True, 1)
    assert np.mean([*shares.values()]) >= 0.9 - room(0.9, len(shares)), shares
