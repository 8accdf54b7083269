"""The scale of images: floats not of 0 to 1, and bytes not of 0 to 255, are refused with what helps."""

from __future__ import annotations

import re

import numpy as np
import pytest

from support import checks, examples, reference

N = 4
METHODS = ("step", "step_async", "run", "predict", "evaluate", "gradients")
LEVELS, LABELS = examples.discs(N)
UNIT = LEVELS / np.float32(255)
STANDARDIZED = (UNIT - np.float32(0.1307)) / np.float32(0.3081)
BINARY = (LEVELS > 127).astype(np.uint8)


def call(trainer, method, images):
    """What the method answers, with each image in a batch."""
    if method == "predict":
        return trainer.predict(images)
    if method == "run":
        return trainer.run(images, LABELS, np.arange(N)[None])
    answer = getattr(trainer, method)(images, LABELS)
    if method == "gradients":
        return answer.flat
    return answer.result() if method == "step_async" else answer


def refusal(trainer, method, images, error=ValueError):
    """The error's text; the weights are as before, and two steps with good images work."""
    before, steps = checks.flat_state(trainer), trainer.steps
    with pytest.raises(error) as caught:
        call(trainer, method, images)
    checks.assert_same_bits(checks.flat_state(trainer), before)
    assert trainer.steps == steps
    for _ in range(2):
        assert np.isfinite(trainer.step(LEVELS, LABELS))
    return str(caught.value)


def hinted(text, images, wanted=None):
    """The images as a hint in the error's text makes them; `wanted` is in it where there are several."""
    found = re.search(r"use (.*?)(?: if .*)?$", text)
    assert found, text
    options = found[1].split(" or ")
    option = next(option for option in options if wanted is None or wanted in option)
    return eval(option, {"images": images, "numpy": np})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [255, 1.26, -1.01, 3e38])
def test_floats_beyond_1(make_trainer, method, value):
    images = UNIT.copy()
    images[2, 3, 5] = value
    text = refusal(make_trainer(init="he"), method, images)
    assert text == (
        f"images: pixel (3, 5) of image 2 is {value:g}; expected floats of 0 to 1; use "
        "images.astype(numpy.uint8) or images / 255 if they are of 0 to 255, "
        "or Trainer(standardized=True) if they are standardized"
    )


@pytest.mark.parametrize("method", METHODS)
def test_standardized_images_are_taken_as_they_are_if_that_is_said(make_trainer, method):
    assert STANDARDIZED.max() > 2.8
    assert "is 2." in refusal(make_trainer(init="he"), method, STANDARDIZED)
    trainer = make_trainer(init="he", standardized=True)
    expected = reference.predict(reference.as_float64(trainer.state_dict()), STANDARDIZED)
    assert np.abs(trainer.predict(STANDARDIZED) - expected).max() < 1e-5
    call(trainer, method, STANDARDIZED)


@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_in_any_case(make_trainer, standardized, value):
    images = UNIT.copy()
    images[2, 3, 5] = value
    text = refusal(make_trainer(init="he", standardized=standardized), "step", images)
    assert text == f"images: pixel (3, 5) of image 2 is {value:g}; expected finite values"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("limit", [1 + 2.0**-7, -1 - 2.0**-7])
def test_rounding_is_no_error(make_trainer, method, limit):
    """bfloat16, the coarsest float of frameworks, has no number between 1 and 1 + 2**-7."""
    images = UNIT.copy()
    images[1, 0, 0] = limit
    call(make_trainer(init="he"), method, images)
    images[1, 0, 0] = np.nextafter(np.float32(limit), np.float32(2 * limit))
    refusal(make_trainer(init="he"), method, images)


@pytest.mark.parametrize("method", METHODS)
def test_bytes_of_0_and_1(make_trainer, method):
    """Scaled by 1/255 they would be nearly black."""
    trainer = make_trainer(init="he")
    text = refusal(trainer, method, BINARY)
    assert re.fullmatch(
        r"images: all are nearly black: pixel \(\d+, \d+\) of image 0 is 1, and none is above 1; "
        r"expected bytes of 0 to 255; use images\.astype\(numpy\.float32\) if 1 stands for white, "
        r"or Trainer\(standardized=True\) if they are meant to be so dark",
        text,
    )
    call(trainer, method, hinted(text, BINARY))
    call(make_trainer(init="he", standardized=True), method, BINARY)


@pytest.mark.parametrize("method", METHODS)
def test_floats_divided_twice(make_trainer, method):
    trainer = make_trainer(init="he")
    images = UNIT / np.float32(255)
    text = refusal(trainer, method, images)
    assert text.endswith(
        ", and none is above 1/255; expected floats of 0 to 1; "
        "use images * 255 if they were divided by 255 twice, "
        "or Trainer(standardized=True) if they are meant to be so dark"
    )
    np.testing.assert_allclose(hinted(text, images), UNIT, rtol=1e-6)
    call(make_trainer(init="he", standardized=True), method, images)


@pytest.mark.parametrize("method", METHODS)
def test_floats_that_interpolation_led_beyond_0_and_1(make_trainer, method):
    images = UNIT * np.float32(1.13) - np.float32(0.08)
    text = refusal(make_trainer(init="he"), method, images)
    assert text.endswith(
        "; expected floats of 0 to 1; use images.clip(0, 1) if interpolation went past these limits, "
        "or Trainer(standardized=True) if they are standardized"
    )
    call(make_trainer(init="he"), method, hinted(text, images))


def test_negative_levels_were_not_divided_twice(make_trainer):
    text = refusal(make_trainer(init="he"), "step", -LEVELS.astype(np.float32))
    assert "expected floats of 0 to 1; use images.astype(numpy.uint8) or images / 255 if" in text


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_dark_images_among_others_and_blank_ones_are_none_of_them(make_trainer, dtype):
    trainer = make_trainer(init="he")
    images = (BINARY if dtype == np.uint8 else UNIT / np.float32(255)).astype(dtype)
    images[3, 4, 5] = 2 if dtype == np.uint8 else 2 / 255
    trainer.step(images, LABELS)
    trainer.step(np.zeros_like(images), LABELS)


ONE = LEVELS.astype(np.float64) / 255
FOLLOWED = {
    "float64 of 0 to 255": (LEVELS.astype(np.float64), "uint8"),
    "float16 of 0 to 255": (LEVELS.astype(np.float16), "uint8"),
    "int64 of 0 to 255": (LEVELS.astype(np.int64), "uint8"),
    "uint16 of 0 to 255": (LEVELS.astype(np.uint16), "uint8"),
    "float64 of 0 to 1": (ONE, "float32"),
    "float16 of 0 to 1": (ONE.astype(np.float16), "float32"),
    "longdouble of 0 to 1": (ONE.astype(np.longdouble), "float32"),
    "standardized float64": (STANDARDIZED.astype(np.float64), "float32"),
    "int64 of 0 and 1": (BINARY.astype(np.int64), "float32"),
    "flags": (BINARY.astype(bool), "float32"),
    "list of 0 to 255": (LEVELS.tolist(), "uint8"),
    "list of 0 to 1": (ONE.tolist(), "float32"),
}


@pytest.mark.parametrize(("images", "wanted"), FOLLOWED.values(), ids=FOLLOWED.keys())
def test_hints_of_other_dtypes_lead_to_images_of_the_right_scale(make_trainer, images, wanted):
    """What the hint makes of them has the values of the images, and is taken."""
    is_standardized = np.min(images) < 0
    trainer = make_trainer(init="he", standardized=bool(is_standardized))
    text = refusal(trainer, "step", images, TypeError)
    assert f"numpy.{wanted})" in text
    found = hinted(text, images)
    expected = np.asarray(images, np.float64)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.max() > 2 if wanted == "uint8" or is_standardized else found.max() <= 1
    trainer.step(found, LABELS)


@pytest.mark.parametrize(
    "images",
    [LEVELS.astype(np.uint16) * 257, LEVELS.astype(np.int64) // 16, LEVELS.astype(np.int16) - 128],
    ids=["of 0 to 65535", "of 0 to 15", "of -128 to 127"],
)
def test_integers_that_bytes_would_spoil(make_trainer, images):
    text = refusal(make_trainer(init="he"), "step", images, TypeError)
    assert text.endswith("; scale them to 0 to 1, as float32")


@pytest.mark.parametrize("wanted", ["uint8", "/ 255"])
def test_both_ways_out_of_floats_of_0_to_255(make_trainer, wanted):
    trainer, plain = make_trainer(init="he"), make_trainer(init="he")
    images = LEVELS.astype(np.float32)
    text = refusal(make_trainer(init="he"), "step", images)
    assert trainer.step(hinted(text, images, wanted), LABELS) == plain.step(LEVELS, LABELS)


TENSORS = {
    "floats of 0 to 255": (lambda torch, x: x.float(), "use images.byte() or images / 255 if they are of"),
    "bytes of 0 and 1": (
        lambda torch, x: (x > 127).byte(),
        "; use images.float() if 1 stands for white, or ",
    ),
    "interpolated floats": (
        lambda torch, x: x.float() / 250,
        "; use images.clip(0, 1) if interpolation went past",
    ),
    "float64 of 0 to 255": (lambda torch, x: x.double(), "; use images.byte()"),
    "float64 of 0 to 1": (lambda torch, x: x.double() / 255, "; use images.float()"),
    "int64 of 0 to 255": (lambda torch, x: x.long(), "; use images.byte()"),
    "flags": (lambda torch, x: x > 127, "; use images.float()"),
}


@pytest.mark.parametrize(("make", "words"), TENSORS.values(), ids=TENSORS.keys())
def test_tensors(make_trainer, make, words):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    trainer = make_trainer(init="he")
    images = make(torch, torch.from_numpy(LEVELS))
    text = refusal(trainer, "step", images, (TypeError, ValueError))
    assert words in text
    trainer.step(hinted(text, images), LABELS)


def test_arrays_of_jax(make_trainer):
    numpy_of_jax = pytest.importorskip("jax.numpy", reason="JAX is not installed")
    trainer = make_trainer(init="he")
    for dtype in ("float32", "bfloat16", "int32"):
        images = numpy_of_jax.asarray(LEVELS, dtype)
        text = refusal(trainer, "step", images, (TypeError, ValueError))
        trainer.step(LEVELS, LABELS)
        if dtype == "bfloat16":  # first to float32, which has the values of bytes
            images = hinted(text, images)
            text = refusal(trainer, "step", images)
        assert "use images.astype(numpy.uint8)" in text
        trainer.step(hinted(text, images), LABELS)


def test_the_scale_is_that_of_what_run_selects(make_trainer):
    images = UNIT.copy()
    images[3] *= 255
    trainer = make_trainer(init="he")
    trainer.run(images, LABELS, [[0, 1], [1, 2]])
    with pytest.raises(ValueError, match="of image 3 is "):
        trainer.run(images, LABELS, [[0, 1], [1, 3]])
    assert trainer.steps == 2
