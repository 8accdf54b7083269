"""Arrays that do not fit: what would help is said. Those that lie: TypeError or ValueError."""

from __future__ import annotations

import re

import numpy as np
import pytest

from support import checks, examples

N = 3
SHAPES = r"expected \(n, 784\), \(n, 28, 28\), \(n, 28, 28, 1\) or \(n, 1, 28, 28\)"


@pytest.fixture(scope="module")
def trainer(make_trainer):
    return make_trainer(init="he")


def refused(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert re.search(words, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


IMAGES = {
    "one image": (np.zeros((28, 28), np.uint8), ValueError, rf"{SHAPES}; use images\[None\] for one image$"),
    "one flat image": (np.zeros(784, np.uint8), ValueError, r"; use images\[None\] for one image$"),
    "one image, channels last": (np.zeros((28, 28, 1), np.uint8), ValueError, r"use images\[None\]"),
    "colours last": (np.zeros((N, 28, 28, 3), np.uint8), ValueError, "; colours: average the channels$"),
    "colours first": (np.zeros((N, 3, 28, 28), np.uint8), ValueError, "; colours: average the channels$"),
    "one of colours": (np.zeros((28, 28, 3), np.uint8), ValueError, "; colours: average the channels$"),
    "larger": (np.zeros((N, 32, 32), np.uint8), ValueError, "; scale other sizes to 28 x 28 pixels$"),
    "larger, one channel": (np.zeros((N, 1, 32, 32), np.uint8), ValueError, "; scale other sizes to"),
    "flat and larger": (np.zeros((N, 1024), np.uint8), ValueError, rf"{SHAPES}$"),
    "list of integers": ([[255] * 784], TypeError, r"; use numpy\.asarray\(images, numpy\.uint8\)$"),
    "list of floats": ([[0.0] * 784], TypeError, r"; use numpy\.asarray\(images, numpy\.float32\)$"),
    "text": ("seven", TypeError, r"dtype <U5; expected uint8 .* or float32 \(0 to 1\)$"),
    "masked": (np.ma.zeros((N, 784), np.uint8), TypeError, r"masked array.* use images\.filled\(VALUE\)$"),
}


@pytest.mark.parametrize(("images", "error", "words"), IMAGES.values(), ids=IMAGES.keys())
def test_images(trainer, images, error, words):
    refused(lambda: trainer.predict(images), error, f"^images: .*{words}")


LABELS = {
    "one-hot integers": (
        np.eye(10, dtype=int)[:N],
        ValueError,
        r"; use numpy\.argmax\(labels, axis=1\) for one-hot",
    ),
    "a column": (np.zeros((N, 1), int), ValueError, r"; use numpy\.ravel\(labels\)$"),
    "floats": (np.zeros(N), ValueError, r"; use labels\.astype\(numpy\.int64\)$"),
    "list of floats": ([0.0] * N, ValueError, r"; use numpy\.asarray\(labels, numpy\.int64\)$"),
    "one-hot flags": (np.eye(10, dtype=bool)[:N], TypeError, r"; use labels\.astype\(numpy\.float32\)$"),
    "masked": (np.ma.zeros(N, int), TypeError, r"masked array.* use labels\.filled\(VALUE\)$"),
}


@pytest.mark.parametrize(("labels", "error", "words"), LABELS.values(), ids=LABELS.keys())
def test_labels(trainer, labels, error, words):
    refused(lambda: trainer.step(examples.discs(N)[0], labels), error, f"^labels: .*{words}")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_swapped(trainer, dtype):
    images, labels = examples.discs(N)
    words = r"^images: integers of shape \(3,\), like labels; expected images first, then labels$"
    refused(lambda: trainer.step(labels.astype(dtype), images), ValueError, words)


TENSORS = {
    "requires_grad": (lambda torch, x: x.requires_grad_(), r"; use images\.detach\(\)$"),
    "bfloat16": (lambda torch, x: x.bfloat16(), r"; use images\.float\(\)$"),
    "both": (lambda torch, x: x.bfloat16().requires_grad_(), r"; use images\.detach\(\)\.float\(\)$"),
    "meta": (lambda torch, x: x.to("meta"), "; a meta tensor has no values$"),
    "sparse": (lambda torch, x: x.to_sparse(), r"; use images\.to_dense\(\)$"),
    "float64": (lambda torch, x: x.double(), r"dtype float64; .*; use images\.float\(\)$"),
    "int64 of 0": (lambda torch, x: x.long(), r"dtype int64; .*; use images\.float\(\)$"),
    "int64 of 255": (lambda torch, x: x.long() + 255, r"dtype int64; .*; use images\.byte\(\)$"),
}


@pytest.mark.parametrize(("make", "words"), TENSORS.values(), ids=TENSORS.keys())
def test_tensors(trainer, make, words):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    refused(lambda: trainer.predict(make(torch, torch.zeros(N, 784))), TypeError, f"^images: .*{words}")


def test_a_tensor_that_is_negated_when_it_is_read(trainer):
    """DLPack exports its memory, whose values have the other sign."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images = torch.complex(torch.zeros(N, 784), torch.ones(N, 784)).conj().imag
    assert images.is_neg()
    words = r"^images: a Tensor that is negated when it is read; use images\.resolve_neg\(\)$"
    refused(lambda: trainer.predict(images), TypeError, words)
    trainer.predict(images.resolve_neg())


def test_what_would_fit_a_state_can_be_written_as_it_is_said(trainer):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    state = {name: torch.from_numpy(value) for name, value in trainer.state_dict().items()}
    state["fc1.bias"] = torch.nn.Parameter(state["fc1.bias"])
    words = r'^state: "fc1\.bias": a Parameter .*; use state\["fc1\.bias"\]\.detach\(\)$'
    refused(lambda: trainer.load_state_dict(state), TypeError, words)


def test_float_classes_as_a_tensor(trainer):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    words = r"^labels: floats .*; use labels\.long\(\)$"
    refused(lambda: trainer.step(examples.discs(N)[0], torch.zeros(N)), ValueError, words)


class Tensor:
    """What a tensor in memory of another kind looks like."""

    def __init__(self, device_type):
        self.device = "cuda:0"
        self.values = examples.discs(N)[0]
        self.device_type = device_type

    def __dlpack__(self, **options):
        return self.values.__dlpack__()

    def __dlpack_device__(self):
        return self.device_type, 0

    def cpu(self):
        raise AssertionError("must not be called")


def test_another_device(trainer):
    words = r"^images: a Tensor on another device \(DLPack type 2\); expected .*; use images\.cpu\(\)$"
    refused(lambda: trainer.predict(Tensor(2)), TypeError, words)


@pytest.mark.parametrize("device_type", [1, 3, 11, 13])
def test_memory_that_the_cpu_reads_too(trainer, device_type):
    """Tensors pinned for a GPU say that they are on CUDAHost, ROCMHost or CUDAManaged."""
    checks.assert_same_bits(trainer.predict(Tensor(device_type)), trainer.predict(examples.discs(N)[0]))


def raises(error):
    def method(*arguments, **options):
        raise error

    return method


def returns(value):
    return lambda *arguments, **options: value


GOOD = np.zeros((N, 28, 28), np.uint8)
CPU = returns((1, 0))
ODD = (
    None,
    1,
    "cpu",
    (),
    (1,),
    (1, 0, 0),
    ("cpu", 0),
    (None, 0),
    (2**70, 0),
    (-1, 0),
    (1.0, 0),
    [1, 0],
    {1: 0},
)
ERRORS = (
    RuntimeError("odd"),
    BufferError("odd"),
    AttributeError("odd"),
    KeyError("odd"),
    RecursionError("odd"),
)

LIES = {
    **{
        f"__dlpack_device__ {odd!r}": {"__dlpack_device__": returns(odd), "__dlpack__": GOOD.__dlpack__}
        for odd in ODD
    },
    **{
        f"__dlpack_device__ {error!r}": {"__dlpack_device__": raises(error), "__dlpack__": 0}
        for error in ERRORS
    },
    **{f"__dlpack__ {error!r}": {"__dlpack_device__": CPU, "__dlpack__": raises(error)} for error in ERRORS},
    **{
        f"__dlpack__ {odd!r}": {"__dlpack_device__": CPU, "__dlpack__": returns(odd)}
        for odd in (None, 3, GOOD)
    },
    **{f"__array__ {error!r}": {"__array__": raises(error)} for error in ERRORS},
    **{f"__array__ {type(odd).__name__}": {"__array__": returns(odd)} for odd in (None, 3, [[1]], "array")},
    "__array_interface__ None": {"__array_interface__": None},
    "__array_interface__ {}": {"__array_interface__": {}},
    "__array_interface__ shape": {
        "__array_interface__": {"version": 3, "shape": (2**62, 784), "typestr": "|u1", "data": b"short"}
    },
    "__array_interface__ typestr": {
        "__array_interface__": {"version": 3, "shape": (N, 784), "typestr": "|q7", "data": bytes(N * 784)}
    },
    "__array_struct__": {"__array_struct__": 3},
    "__buffer__": {"__buffer__": raises(RuntimeError("odd"))},
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("attributes", LIES.values(), ids=LIES.keys())
def test_lies(trainer, attributes):
    """For each argument; the error has its name, or is for the dtype of what NumPy made of the object."""
    members = {k: staticmethod(v) if callable(v) else v for k, v in attributes.items()}
    liar = type("Liar", (), members)()
    images, labels = examples.discs(N)
    calls = {
        "images": lambda: trainer.predict(liar),
        "labels": lambda: trainer.step(images, liar),
        "batches": lambda: trainer.run(images, labels, liar),
        "learning_rates": lambda: trainer.run(images, labels, [[0]], learning_rates=liar),
        "gradients": lambda: trainer.apply_gradients(liar),
        'state: "conv0.weight"': lambda: trainer.load_state_dict(
            trainer.state_dict() | {"conv0.weight": liar}
        ),
    }
    before = checks.flat_state(trainer)
    for name, call in calls.items():
        with pytest.raises((TypeError, ValueError), match=f"^{name}: "):
            call()
    checks.assert_same_bits(checks.flat_state(trainer), before)


class Subclass(np.ndarray):
    """Whose methods and attributes have nothing to do with what it holds."""

    shape = (10**6, 784)
    size = 10**9

    def copy(self, *arguments):
        return np.zeros(10**6, np.uint8)

    astype = ascontiguousarray = reshape = copy


def test_methods_of_subclasses_are_not_trusted(trainer):
    room = np.zeros(N * 784 * 4 + 1, np.uint8)
    images = room[1:].view(np.float32).reshape(N, 784)  # misaligned, so copied
    images[...] = examples.discs(N)[0].reshape(N, 784) / 255
    checks.assert_same_bits(trainer.predict(images.view(Subclass)), trainer.predict(images.copy()))
