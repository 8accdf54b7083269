"""Every form of input gives the same bits as its plain form."""

from __future__ import annotations

import array
import functools

import numpy as np
import pytest

from support import checks, examples, reference
from support.protocols import ArrayOnly, DlpackOnly

N = 3


class Subclass(np.ndarray):
    pass


def every_other_row(x):
    return np.repeat(x, 2, axis=0)[::2]


def spread_columns(x):
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), 7, x.dtype)
    wide[..., 1::2] = x
    return wide[..., 1::2]


def reversed_twice(x):
    flip = (slice(None, None, -1),) * x.ndim
    return x[flip].copy()[flip]


def transposed_twice(x):
    return np.ascontiguousarray(x.T).T


def read_only(x):
    y = x.copy()
    y.flags.writeable = False
    return y


def misaligned(x):
    room = np.zeros(x.nbytes + 1, np.uint8)
    y = room[1:].view(x.dtype).reshape(x.shape)
    y[...] = x
    assert x.itemsize == 1 or not y.flags.aligned
    return y


def byte_swapped(x):
    return x.astype(x.dtype.newbyteorder())


LAYOUTS = {
    "every other row": every_other_row,
    "spread columns": spread_columns,
    "negative strides": reversed_twice,
    "Fortran order": np.asfortranarray,
    "transposed": transposed_twice,
    "read-only": read_only,
    "misaligned": misaligned,
    "byte-swapped": byte_swapped,
    "ndarray subclass": lambda x: x.view(Subclass),
}
PROTOCOLS = {"dlpack": DlpackOnly, "__array__": ArrayOnly, "buffer": memoryview}
SHAPES = {
    "(n, 784)": lambda x: x.reshape(N, 784),
    "(n, 28, 28, 1)": lambda x: x.reshape(N, 28, 28, 1),
    "(n, 1, 28, 28)": lambda x: x.reshape(N, 1, 28, 28),
    "(n, 1, 28, 28) from NHWC": lambda x: x.reshape(N, 28, 28, 1).transpose(0, 3, 1, 2),
}
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def parametrize(forms):
    return pytest.mark.parametrize("form", forms.values(), ids=forms.keys())


@pytest.fixture(scope="module")
def gradients(make_trainer):
    """gradients(images, labels) -> (1 + P,) floats: the loss, then the gradients. Nothing is updated."""
    trainer = make_trainer()

    def compute(images, labels):
        result = trainer.gradients(images, labels)
        return np.concatenate([np.array([result.loss], np.float32), result.flat])

    return compute


@pytest.fixture(scope="module")
def plain(gradients):
    """The bits that a plain form gives, computed once per device: plain(dtype of images, labels' kind)."""

    @functools.lru_cache
    def compute(image_type, label_kind):
        return gradients(plain_images(image_type), plain_labels(label_kind))

    return compute


def plain_images(dtype):
    images, _ = examples.discs(N)
    return images if dtype == "uint8" else images.astype(np.float32) / np.float32(255)


def plain_labels(kind):
    _, labels = examples.discs(N)
    return {
        "classes": labels,
        "one-hot": np.eye(10, dtype=np.float32)[labels],
        "soft": examples.soft_labels(N),
    }[kind]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@parametrize(SHAPES | LAYOUTS | PROTOCOLS)
def test_image_forms(gradients, plain, dtype, form):
    images = form(plain_images(dtype))
    checks.assert_same_bits(gradients(images, plain_labels("classes")), plain(dtype, "classes"))


def test_bytes_are_scaled_as_numpy_would(plain):
    """uint8 x is float32(x) / float32(255)."""
    checks.assert_same_bits(plain("uint8", "classes"), plain("float32", "classes"))


def test_every_byte_is_scaled(make_trainer):
    images = np.arange(784, dtype=np.uint16).astype(np.uint8).reshape(1, 28, 28)
    assert set(images.ravel().tolist()) == set(range(256))
    trainer = make_trainer()
    floats = images.astype(np.float32) / np.float32(255)
    checks.assert_same_bits(trainer.predict(images), trainer.predict(floats))


def test_float_images_are_taken_as_they_are(make_trainer):
    """Neither clipped nor scaled."""
    trainer = make_trainer(init="he", standardized=True)
    images = plain_images("float32") * 3 - 1
    expected = reference.predict(reference.as_float64(trainer.state_dict()), images)
    assert np.abs(trainer.predict(images) - expected).max() < 1e-5


def test_images_from_a_flat_buffer(gradients, plain):
    flat = array.array("B", plain_images("uint8").tobytes())
    images = memoryview(flat).cast("B", shape=[N, 28, 28])
    checks.assert_same_bits(gradients(images, plain_labels("classes")), plain("uint8", "classes"))


def test_one_image_broadcast_to_a_batch(gradients):
    images = np.broadcast_to(plain_images("uint8")[0], (N, 28, 28))
    labels = plain_labels("classes")
    checks.assert_same_bits(gradients(images, labels), gradients(images.copy(), labels))


LABEL_LAYOUTS = {name: form for name, form in LAYOUTS.items() if name != "spread columns"}


@pytest.mark.parametrize("dtype", INTEGERS)
@parametrize(LABEL_LAYOUTS | PROTOCOLS)
def test_integer_label_forms(gradients, plain, dtype, form):
    labels = form(plain_labels("classes").astype(dtype))
    checks.assert_same_bits(gradients(plain_images("uint8"), labels), plain("uint8", "classes"))


@parametrize(
    {
        "list": list,
        "list of ints": lambda labels: labels.tolist(),
        "tuple": lambda labels: tuple(labels.tolist()),
        "array.array": lambda labels: array.array("h", labels.tolist()),
        "bytearray view": lambda labels: memoryview(bytearray(labels.tolist())),
    }
)
def test_label_sequences(gradients, plain, form):
    labels = form(plain_labels("classes"))
    checks.assert_same_bits(gradients(plain_images("uint8"), labels), plain("uint8", "classes"))


@pytest.mark.parametrize("kind", ["one-hot", "soft"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble"])
def test_probability_dtypes(gradients, plain, dtype, kind):
    labels = plain_labels(kind).astype(dtype)
    checks.assert_same_bits(gradients(plain_images("uint8"), labels), plain("uint8", kind))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@parametrize(LAYOUTS | PROTOCOLS)
def test_probability_forms(gradients, plain, dtype, form):
    labels = form(plain_labels("soft").astype(dtype))
    checks.assert_same_bits(gradients(plain_images("uint8"), labels), plain("uint8", "soft"))


def test_probabilities_as_nested_lists(gradients, plain):
    labels = plain_labels("soft").tolist()
    checks.assert_same_bits(gradients(plain_images("uint8"), labels), plain("uint8", "soft"))


def test_one_hot_rows_are_class_numbers(plain):
    checks.assert_same_bits(plain("uint8", "one-hot"), plain("uint8", "classes"))


def test_rows_may_miss_1_by_a_thousandth(gradients, plain):
    labels = plain_labels("soft") * np.float32(1.0009)
    actual = gradients(plain_images("uint8"), labels)
    assert checks.relative_error(actual, plain("uint8", "soft")) < 0.01


@parametrize(
    {
        "lists": lambda rows: rows.tolist(),
        "list of arrays": list,
        **{dtype: lambda rows, dtype=dtype: rows.astype(dtype) for dtype in INTEGERS},
        **LAYOUTS,
        **PROTOCOLS,
    }
)
def test_batches_forms(make_trainer, form):
    images, labels = examples.discs(4)
    rows = np.array([[0, 3], [2, 1]])
    expected, trainer = make_trainer(), make_trainer()
    expected_losses = expected.run(images, labels, rows)
    checks.assert_same_bits(trainer.run(images, labels, form(rows)), expected_losses)


@pytest.mark.parametrize("method", ["step", "step_async", "run", "gradients", "evaluate", "predict"])
def test_arguments_are_left_alone(make_trainer, method):
    images, labels = plain_images("float32"), plain_labels("soft")
    rows = np.array([[0, 1, 2]])
    copies = images.copy(), labels.copy(), rows.copy()
    trainer = make_trainer()
    arguments = {"predict": (images,), "run": (images, labels, rows)}.get(method, (images, labels))
    getattr(trainer, method)(*arguments)
    trainer.synchronize()
    for now, before in zip((images, labels, rows), copies, strict=True):
        assert np.array_equal(now, before)


@pytest.mark.parametrize("method", ["step", "step_async", "gradients", "evaluate"])
def test_arguments_have_names(make_trainer, method):
    """The same answer and the same weights, whether the arguments come by position or by name."""
    images, labels = examples.discs(N)

    def answer(result):
        if method == "gradients":
            return result.loss, result.flat.tobytes()
        return result.result() if method == "step_async" else result

    by_position, by_name = make_trainer(), make_trainer()
    expected = answer(getattr(by_position, method)(images, labels))
    assert answer(getattr(by_name, method)(labels=labels, images=images)) == expected
    checks.assert_same_bits(checks.flat_state(by_name), checks.flat_state(by_position))
