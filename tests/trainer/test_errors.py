"""Bad arguments: the error's type and words, weights untouched, and the next step works."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mpsmnist import NotFiniteError
from support import checks, examples, reference

N = 4


def images(dtype=np.float32):
    values, _ = examples.discs(N)
    return values if dtype == np.uint8 else (values / 255).astype(dtype)


def labels():
    return examples.discs(N)[1]


def with_pixel(value):
    x = images()
    x[2, 3, 5] = value
    return x


def with_label(value, dtype=np.int64):
    y = labels().astype(dtype)
    y[3] = value
    return y


def with_probability(row, column, value):
    y = examples.soft_labels(N)
    y[row, column] = value
    return y


class OnAnotherDevice:
    def __dlpack__(self, **options):
        raise AssertionError("must not be asked for")

    def __dlpack_device__(self):
        return (2, 0)  # kDLCUDA


class Broken:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array today")


SHAPES = r"expected .*\(n, 784\).*\(n, 28, 28\).*\(n, 28, 28, 1\).*\(n, 1, 28, 28\)"

BAD_IMAGES = {
    "27 rows": (lambda: np.zeros((N, 27, 28), np.float32), ValueError, rf"images.*\(4, 27, 28\).*{SHAPES}"),
    "27 columns": (lambda: np.zeros((N, 28, 27), np.uint8), ValueError, rf"images.*\(4, 28, 27\).*{SHAPES}"),
    "783 pixels": (lambda: np.zeros((N, 783), np.uint8), ValueError, rf"images.*\(4, 783\).*{SHAPES}"),
    "three channels": (lambda: np.zeros((N, 28, 28, 3), np.uint8), ValueError, r"images.*\(4, 28, 28, 3\)"),
    "channels first": (lambda: np.zeros((N, 3, 28, 28), np.uint8), ValueError, r"images.*\(4, 3, 28, 28\)"),
    "one bare image": (lambda: np.zeros((28, 28), np.uint8), ValueError, r"images.*\(28, 28\)"),
    "one flat image": (lambda: np.zeros(784, np.uint8), ValueError, r"images.*\(784,\)"),
    "five axes": (lambda: np.zeros((1, N, 28, 28, 1), np.uint8), ValueError, r"images.*\(1, 4, 28, 28, 1\)"),
    "a number": (lambda: np.float32(1), ValueError, r"images.*\(\)"),
    "float64": (lambda: images(np.float64), TypeError, r"images.*float64.*float32.*astype"),
    "float16": (lambda: images(np.float16), TypeError, r"images.*float16.*float32"),
    "int64": (lambda: np.zeros((N, 28, 28), np.int64), TypeError, r"images.*int64.*uint8"),
    "int8": (lambda: np.zeros((N, 28, 28), np.int8), TypeError, r"images.*int8.*uint8"),
    "bool": (lambda: np.zeros((N, 28, 28), bool), TypeError, r"images.*bool.*uint8"),
    "complex": (lambda: np.zeros((N, 28, 28), np.complex64), TypeError, r"images.*complex64"),
    "objects": (lambda: np.full((N, 28, 28), None), TypeError, r"images.*object"),
    "text": (lambda: "seven", TypeError, r"images.*<U5"),
    "None": (lambda: None, TypeError, r"images.*object"),
    "ragged": (lambda: [[1, 2], [3]], TypeError, r"images"),
    "NaN": (lambda: with_pixel(np.nan), ValueError, r"images.*\(3, 5\) of image 2 is .*nan"),
    "infinity": (lambda: with_pixel(np.inf), ValueError, r"images.*\(3, 5\) of image 2 is inf"),
    "-infinity": (lambda: with_pixel(-np.inf), ValueError, r"images.*\(3, 5\) of image 2 is -inf"),
    "GPU memory": (OnAnotherDevice, TypeError, r"images.*OnAnotherDevice.*device.*CPU"),
    "a broken __array__": (Broken, TypeError, r"images"),
}

RANGE = r"expected 0 to 9.*num_classes=10"

BAD_LABELS = {
    "too large": (lambda: with_label(10), ValueError, rf"labels.*label 10 at index 3.*{RANGE}"),
    "too large in uint8": (lambda: with_label(255, np.uint8), ValueError, rf"label 255 at index 3.*{RANGE}"),
    "negative": (lambda: with_label(-1), ValueError, rf"labels.*label -1 at index 3.*{RANGE}"),
    "negative in int8": (lambda: with_label(-128, np.int8), ValueError, r"label -128 at index 3"),
    "negative in int16": (lambda: with_label(-3, np.int16), ValueError, r"label -3 at index 3"),
    "past 2**63": (lambda: with_label(2**64 - 1, np.uint64), ValueError, r"label 18446744073709551615 at"),
    "past 2**32": (lambda: with_label(2**32 + 1), ValueError, r"label 4294967297 at index 3"),
    "too few": (lambda: labels()[:3], ValueError, r"4 images.*3 labels"),
    "too many": (lambda: np.zeros(5, np.int64), ValueError, r"4 images.*5 labels"),
    "no labels": (lambda: labels()[:0], ValueError, r"4 images.*0 labels"),
    "a column": (lambda: labels()[:, None], ValueError, r"labels.*\(4, 1\).*\(n,\)"),
    "integer one-hot": (lambda: np.eye(10, dtype=int)[labels()], ValueError, r"labels.*\(4, 10\).*\(n,\)"),
    "a number": (lambda: 3, ValueError, r"labels.*\(\)"),
    "float classes": (lambda: labels().astype(float), ValueError, r"labels.*\(4,\).*\(n, 10\).*integer"),
    "nine columns": (lambda: np.full((N, 9), 1 / 9), ValueError, r"labels.*\(4, 9\).*\(n, 10\)"),
    "three axes": (lambda: np.zeros((N, 10, 1)), ValueError, r"labels.*\(4, 10, 1\)"),
    "too few rows": (lambda: examples.soft_labels(3), ValueError, r"4 images.*3 labels"),
    "sum above 1": (
        lambda: with_probability(2, 0, 0.5),
        ValueError,
        r"labels.*row 2 sums to 1\.5.*expected 1",
    ),
    "sum below 1": (lambda: with_probability(1, 4, 0), ValueError, r"labels.*row 1 sums to 0\.625"),
    "sum just out": (lambda: with_probability(0, 5, 0.0015), ValueError, r"labels.*row 0 sums to 1\.0015"),
    "logits": (lambda: np.full((N, 10), 3.0), ValueError, r"labels.*row 0 sums to 30"),
    "negative share": (
        lambda: with_probability(3, 9, -0.125),
        ValueError,
        r"labels.*-0\.125.*class 9.*row 3",
    ),
    "NaN share": (lambda: with_probability(3, 9, np.nan), ValueError, r"labels.*nan.*class 9.*row 3"),
    "infinite share": (lambda: with_probability(3, 9, np.inf), ValueError, r"labels.*inf.*class 9.*row 3"),
    "bool": (lambda: labels() > 4, TypeError, r"labels.*bool.*integer"),
    "bool one-hot": (lambda: np.eye(10, dtype=bool)[labels()], TypeError, r"labels.*bool"),
    "complex": (lambda: labels().astype(np.complex128), TypeError, r"labels.*complex128"),
    "objects": (lambda: labels().astype(object), TypeError, r"labels.*object"),
    "text": (lambda: ["one", "two", "three", "four"], TypeError, r"labels.*<U5"),
    "bytes": (lambda: b"\1\2\3\4", TypeError, r"labels"),
    "None": (lambda: None, TypeError, r"labels"),
    "GPU memory": (OnAnotherDevice, TypeError, r"labels.*OnAnotherDevice.*device.*CPU"),
}

ROWS = [[0, 1, 2, 3], [3, 2, 1, 0]]


def with_index(value):
    rows = np.array(ROWS)
    rows[1, 2] = value
    return rows


BAD_BATCHES = {
    "past the end": (lambda: with_index(4), ValueError, r"batches.*index 4 at \(1, 2\).*expected 0 to 3"),
    "negative": (lambda: with_index(-1), ValueError, r"batches.*index -1 at \(1, 2\)"),
    "past 2**63": (lambda: with_index(0).astype(np.uint64) + np.uint64(2**63), ValueError, r"batches.*index"),
    "one axis": (lambda: ROWS[0], ValueError, r"batches.*\(4,\).*\(steps, "),
    "three axes": (lambda: [ROWS], ValueError, r"batches.*\(1, 2, 4\)"),
    "empty rows": (lambda: np.zeros((2, 0), np.int64), ValueError, r"batches.*empty"),
    "floats": (lambda: np.array(ROWS, float), TypeError, r"batches.*float64.*integer"),
    "bool": (lambda: np.ones((2, 4), bool), TypeError, r"batches.*bool"),
    "None": (lambda: None, TypeError, r"batches.*object"),
}

BAD_RATES = {
    "too few": (lambda: [0.1], ValueError, r"learning_rates.*\(1,\).*\(2,\)"),
    "two axes": (lambda: [[0.1, 0.1]], ValueError, r"learning_rates.*\(1, 2\)"),
    "one number": (lambda: 0.1, ValueError, r"learning_rates.*\(\)"),
    "NaN": (lambda: [0.1, np.nan], ValueError, r"^learning_rates: .*nan at index 1; expected 0 or more"),
    "infinite": (lambda: [0.1, np.inf], ValueError, r"learning_rate.*inf"),
    "negative": (lambda: [-0.5, 0.1], ValueError, r"^learning_rates: -0\.5 at index 0; expected 0 or more"),
    "text": (lambda: ["a", "b"], TypeError, r"learning_rates.*<U1"),
}


def bad_flat(size, value=0.0):
    flat = np.zeros(size, np.float32)
    flat[-1] = value
    return flat


def gradient_dict(**changes):
    tensors = {name: np.zeros(shape, np.float32) for name, shape in reference.parameter_shapes().items()}
    return {name: value for name, value in (tensors | changes).items() if value is not None}


PARAMETERS = 3_274_634

BAD_GRADIENTS = {
    "short": (lambda: bad_flat(PARAMETERS - 1), ValueError, r"gradients.*\(3274633,\).*\(3274634,\)"),
    "two axes": (lambda: bad_flat(PARAMETERS)[None], ValueError, r"gradients.*\(1, 3274634\)"),
    "integers": (lambda: np.zeros(PARAMETERS, int), TypeError, r"gradients.*int64.*float"),
    "NaN": (
        lambda: bad_flat(PARAMETERS, np.nan),
        NotFiniteError,
        r"gradients.*element 9 of fc1\.bias is nan",
    ),
    "infinity": (lambda: bad_flat(PARAMETERS, -np.inf), NotFiniteError, r"gradients.*-inf"),
    "None": (lambda: None, TypeError, r"gradients"),
    "name missing": (
        lambda: gradient_dict(**{"fc0.bias": None}),
        ValueError,
        r"gradients.*fc0\.bias.*missing",
    ),
    "name unknown": (lambda: gradient_dict(**{"fc2.bias": np.zeros(1)}), ValueError, r"gradients.*fc2\.bias"),
    "wrong shape": (
        lambda: gradient_dict(**{"fc0.bias": np.zeros((1, 1024), np.float32)}),
        ValueError,
        r"gradients.*fc0\.bias.*\(1, 1024\).*\(1024,\)",
    ),
    "NaN in one": (
        lambda: gradient_dict(**{"fc1.bias": np.full(10, np.nan, np.float32)}),
        NotFiniteError,
        r"gradients.*fc1\.bias.*nan",
    ),
}


def parametrize(cases):
    return pytest.mark.parametrize(("make", "error", "words"), cases.values(), ids=cases.keys())


@pytest.fixture(scope="module")
def trainer(make_trainer):
    return make_trainer(init="he", momentum=0.5)


@pytest.fixture
def check(trainer):
    """check(call, error, words): the call fails so. In the end nothing has changed, and a step works."""
    before, steps = checks.flat_state(trainer), trainer.steps

    def rejected(call, error, words):
        with pytest.raises(error) as caught:
            call()
        assert re.search(words, str(caught.value), re.DOTALL | re.IGNORECASE), str(caught.value)
        # A reader can find the argument: its name comes first.
        assert re.match(r"(images|labels|batches|learning_rates?|gradients)\b", str(caught.value))

    yield rejected
    checks.assert_same_bits(checks.flat_state(trainer), before)
    assert trainer.steps == steps
    assert np.isfinite(trainer.step(images(), labels()))
    assert trainer.steps == steps + 1


@parametrize(BAD_IMAGES)
def test_bad_images(trainer, check, make, error, words):
    for call in (trainer.step, trainer.step_async, trainer.gradients, trainer.evaluate):
        check(lambda call=call: call(make(), labels()), error, words)
    check(lambda: trainer.predict(make()), error, words)
    check(lambda: trainer.run(make(), labels(), ROWS), error, words)


@parametrize(BAD_LABELS)
def test_bad_labels(trainer, check, make, error, words):
    for call in (trainer.step, trainer.step_async, trainer.gradients, trainer.evaluate):
        check(lambda call=call: call(images(), make()), error, words)
    check(lambda: trainer.run(images(), make(), ROWS), error, words)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_empty_batch(trainer, check, dtype):
    nothing = np.zeros((0, 28, 28), dtype)
    for call in (trainer.step, trainer.step_async, trainer.gradients, trainer.evaluate):
        check(lambda call=call: call(nothing, labels()[:0]), ValueError, "images.*empty.*at least one")
    check(lambda: trainer.predict(nothing), ValueError, "images.*empty")


@parametrize(BAD_BATCHES)
def test_bad_batches(trainer, check, make, error, words):
    check(lambda: trainer.run(images(), labels(), make()), error, words)


@parametrize(BAD_RATES)
def test_bad_learning_rates(trainer, check, make, error, words):
    check(lambda: trainer.run(images(), labels(), ROWS, learning_rates=make()), error, words)


@parametrize(BAD_GRADIENTS)
def test_bad_gradients(trainer, check, make, error, words):
    check(lambda: trainer.apply_gradients(make()), error, words)


def test_gradients_of_another_network(trainer, check, make_trainer):
    other = make_trainer(num_classes=26).gradients(images(), labels())
    check(lambda: trainer.apply_gradients(other), ValueError, r"gradients.*\(3291034,\).*\(3274634,\)")


def test_run_checks_every_selected_row_before_its_first_step(trainer, check):
    """The last row of the last batch is the only bad one, and nothing has changed."""
    rows = [[0, 1], [1, 0], [0, 2]]
    check(lambda: trainer.run(with_pixel(np.nan), labels(), rows), ValueError, r"images.*image 2 .*nan")
    rows = [[0, 1], [1, 0], [0, 3]]
    check(lambda: trainer.run(images(), with_label(10), rows), ValueError, r"label 10 at index 3")


def test_run_does_not_mind_what_it_does_not_select(make_trainer):
    clean, dirty = make_trainer(), make_trainer()
    rows = [[0, 1], [1, 0]]
    expected = clean.run(images(), labels(), rows)
    checks.assert_same_bits(dirty.run(with_pixel(np.nan), with_label(10), rows), expected)


def test_label_range_follows_num_classes(make_trainer):
    trainer = make_trainer(num_classes=26)
    assert np.isfinite(trainer.step(images(), with_label(25)))
    with pytest.raises(ValueError, match=r"label 26 at index 3.*expected 0 to 25.*num_classes=26"):
        trainer.step(images(), with_label(26))
    with pytest.raises(ValueError, match=r"labels.*\(4, 10\).*\(n, 26\)"):
        trainer.step(images(), examples.soft_labels(N))


def test_run_takes_learning_rates_by_name_only(trainer):
    with pytest.raises(TypeError, match=r"^Trainer\.run\(\): more than 3 arguments by position; expected"):
        trainer.run(images(), labels(), ROWS, [0.1, 0.1])


def test_missing_arguments(trainer):
    with pytest.raises(
        TypeError,
        match=r"^Trainer\.step\(\): labels is missing; expected .*\(images, labels, ",
    ):
        trainer.step(images())
    with pytest.raises(TypeError, match=r"^Trainer\.step\(\): more than 2 arguments by position; expected"):
        trainer.step(images(), labels(), labels())
