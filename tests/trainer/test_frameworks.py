"""Arrays of other frameworks and protocols: the same answers as NumPy's, and none is copied on the way in."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest

import mpsmnist
from support import checks, examples
from support.protocols import ArrayOnly, DlpackOnly

N = 512


class Interface:
    """What has NumPy's older protocol alone."""

    def __init__(self, values):
        self._values = values

    @property
    def __array_interface__(self):
        return self._values.__array_interface__


def torch_tensor(x):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    return torch.from_numpy(x.copy())


def jax_array(x):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    return jax.device_put(x, jax.devices("cpu")[0])


def mlx_array(x):
    mlx = pytest.importorskip("mlx.core", reason="MLX is not installed")
    array = mlx.array(x)
    mlx.eval(array)
    return array


def read_only(x):
    y = x.copy()
    y.flags.writeable = False
    return y


SOURCES = {
    "numpy": np.copy,
    "read-only": read_only,
    "memoryview": memoryview,
    "__array_interface__": Interface,
    "__array__": ArrayOnly,
    "__dlpack__": DlpackOnly,
    "torch": torch_tensor,
    "jax": jax_array,
    "mlx": mlx_array,
}
parametrize = pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())


@pytest.fixture(scope="module")
def trainer():
    """On the CPU: devices get what the bindings took, and the host's is slow with so many images."""
    return mpsmnist.Trainer(device="cpu", init="he")


@pytest.fixture(scope="module")
def batch():
    """Images (N, 28, 28) and soft labels (N, 10): 1.6 MB and 20 kB as float32."""
    images = np.tile(examples.discs(32)[0], (N // 32, 1, 1))
    return images, examples.soft_labels(N)


def allocated(call):
    """The most bytes that NumPy and Python hold at once during a call more than before it, and its result."""
    call()  # the first call imports what it needs
    tracemalloc.start()
    try:
        result = call()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@parametrize
def test_images_are_not_copied(trainer, batch, make, dtype):
    images = batch[0] if dtype == "uint8" else batch[0].astype(np.float32) / np.float32(255)
    expected, given = trainer.predict(images), make(images)
    most, predicted = allocated(lambda: trainer.predict(given))
    checks.assert_same_bits(predicted, expected)
    assert most < images.nbytes / 4


@parametrize
def test_labels_are_not_copied(trainer, batch, make):
    images, labels = batch
    expected, given = trainer.evaluate(images, labels), make(labels)
    most, evaluated = allocated(lambda: trainer.evaluate(images, given))
    assert evaluated == expected
    assert most < labels.nbytes / 2


def test_what_must_be_copied_is(trainer, batch):
    """That a copy would be seen above."""
    images, labels = batch
    most, _ = allocated(lambda: trainer.predict(np.asfortranarray(images)))
    assert most > images.nbytes
    most, _ = allocated(lambda: trainer.evaluate(images, labels.astype(np.float64)))
    assert most > labels.nbytes


@parametrize
def test_weights_and_gradients_may_be_theirs(make_trainer, make):
    trainer, other = make_trainer(momentum=0.5), make_trainer(seed=1, momentum=0.5)
    gradients = trainer.gradients(*examples.discs(2))
    other.load_state_dict({name: make(value) for name, value in trainer.state_dict().items()})
    other.apply_gradients({name: make(value) for name, value in gradients.items()})
    trainer.apply_gradients(gradients)
    checks.assert_same_state(other.state_dict(), trainer.state_dict())
    other.apply_gradients(make(gradients.flat))
    trainer.apply_gradients(gradients)
    checks.assert_same_state(other.state_dict(), trainer.state_dict())


HALVES = {
    "torch": (lambda x, name: x.to(getattr(pytest.importorskip("torch"), name)), "float()"),
    "jax": (lambda x, name: x.astype(name), "astype(numpy.float32)"),
    "mlx": (
        lambda x, name: x.astype(getattr(pytest.importorskip("mlx.core"), name)),
        "astype(numpy.float32)",
    ),
}


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("framework", HALVES)
def test_images_of_half_floats_are_errors_that_say_what_to_do(trainer, framework, name):
    images = SOURCES[framework](np.zeros((2, 784), np.float32))
    halve, words = HALVES[framework]
    with pytest.raises(TypeError, match=rf"^images: .*; use images\.{re.escape(words)}$"):
        trainer.predict(halve(images, name))
