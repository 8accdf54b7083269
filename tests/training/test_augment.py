"""augment(): against a float64 model, as a distribution, and the same bytes however the images are split."""

from __future__ import annotations

import hashlib
import re
import signal
import time

import numpy as np
import pytest
from scipy import stats

import mpsmnist
from support import distortion
from support.memory import limits_memory
from support.programs import run_program

STRENGTHS = ("rotation", "shift", "scale", "shear", "elastic", "thickness")
NONE = dict.fromkeys(STRENGTHS, 0.0)
SOME = {"rotation": 20.0, "shift": 1.5, "scale": 0.2, "shear": 0.3, "elastic": 2.0, "thickness": 0.5}
MOST = {"rotation": 180.0, "shift": 28.0, "scale": 0.9, "shear": 1.0, "elastic": 28.0, "thickness": 4.0}
BLOCK = 32  # kBlock of augment.cpp: images that one thread takes at a time


def noise(n):
    """Bytes of every value, up to the edges."""
    return np.random.default_rng(n).integers(0, 256, (n, 28, 28), np.uint8)


@pytest.mark.parametrize(
    "strengths",
    [NONE | {name: most} for name, most in MOST.items()] + [SOME, MOST],
    ids=[*STRENGTHS, "some", "most"],
)
def test_it_is_the_float64_models(strengths):
    images, seed, first = noise(60), 2**64 - 3, 12345
    expected = distortion.augment(images, seed=seed, first=first, **strengths)
    found = mpsmnist.augment(images, seed=seed, first=first, **strengths)
    # Half a level is rounding, the rest float32's: places that are off by about 1e-5 pixels, and up to 255
    # levels a pixel.
    assert np.abs(found - expected).max() < 0.5 + 0.01 * (1 + strengths["thickness"])


def test_without_strengths_nothing_changes():
    images = noise(100)
    found = mpsmnist.augment(images, seed=1, **NONE)
    np.testing.assert_array_equal(found, images)
    assert not np.shares_memory(found, images)


def test_images_of_every_shape_and_layout():
    images, before = noise(6), noise(6)
    expected = mpsmnist.augment(images, seed=1)
    assert (expected.dtype, expected.shape) == (np.uint8, (6, 28, 28))
    for shape in [(6, 784), (6, 28, 28, 1), (6, 1, 28, 28)]:
        np.testing.assert_array_equal(mpsmnist.augment(images.reshape(shape), seed=1), expected)
    scattered = np.asfortranarray(np.repeat(images, 2, axis=2))[:, :, ::2]
    np.testing.assert_array_equal(mpsmnist.augment(scattered, seed=1), expected)
    np.testing.assert_array_equal(images, before)
    assert mpsmnist.augment(images[:0], seed=1).shape == (0, 28, 28)


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_threads_do_not_matter(threads):
    images = noise(5 * BLOCK + 3)
    expected = [mpsmnist.augment(images[i : i + 1], seed=9, first=i)[0] for i in range(len(images))]
    np.testing.assert_array_equal(mpsmnist.augment(images, seed=9, threads=threads), expected)


def test_long_arrays_are_done_to_their_end():
    """Beyond what is done between two looks for Ctrl-C: 64 blocks a thread."""
    images = np.tile(noise(1), (2 * 64 * BLOCK + 5, 1, 1))
    whole = mpsmnist.augment(images, seed=9, threads=1)
    for i in (0, 64 * BLOCK - 1, 64 * BLOCK, len(images) - 1):
        np.testing.assert_array_equal(whole[i], mpsmnist.augment(images[i : i + 1], seed=9, first=i)[0])


def test_seeds_and_positions_have_64_bits():
    image = noise(1)
    alike = [
        mpsmnist.augment(image, seed=seed, first=first).tobytes()
        for seed in (0, 1, 2**64 - 1)
        for first in (0, 1, 2**63, 2**64 - 1)
    ]
    assert len(set(alike)) == len(alike)
    around = mpsmnist.augment(np.tile(image, (2, 1, 1)), seed=5, first=2**64 - 1)
    np.testing.assert_array_equal(around[1], mpsmnist.augment(image, seed=5)[0])


def test_the_bytes_are_these_everywhere():
    images = (np.arange(101 * 784, dtype=np.uint64) * 7919 // 3).astype(np.uint8).reshape(-1, 784)
    digest = hashlib.sha256()
    for strengths in (SOME, MOST):
        digest.update(mpsmnist.augment(images, seed=7, first=3, **strengths).tobytes())
    assert digest.hexdigest() == "dd5aed286cdfbb037efc0d74ae25e4fc70e0246dddc4fbeff568faab14799100"


def spot(x, y):
    """A round spot of a width that samples see all of, off the middle by (x, y) pixels."""
    v, u = np.mgrid[:28, :28] - 13.5
    return np.rint(255 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / 8)).astype(np.uint8)


def centres(images):
    """Where the spots are, relative to the middle: (n, 2), x and y."""
    v, u = np.mgrid[:28, :28] - 13.5
    weights = images / images.sum(axis=(1, 2), keepdims=True)
    return np.stack([(weights * u).sum(axis=(1, 2)), (weights * v).sum(axis=(1, 2))], axis=1)


def moved(n, x, y, **strengths):
    images = np.tile(spot(x, y), (n, 1, 1))
    return centres(mpsmnist.augment(images, seed=42, **NONE | strengths))


def looks_uniform(values, half_width):
    """By the Kolmogorov-Smirnov test; and no value has to do with the one before it."""
    values = np.asarray(values)
    fits = stats.kstest(values, stats.uniform(-half_width, 2 * half_width).cdf).pvalue > 0.01
    return fits and abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 3 / np.sqrt(len(values))


N = 4000


def test_shifts_are_uniform():
    """The other way round: a source place that is further right shows the spot further left."""
    x, y = moved(N, 0, 0, shift=4).T
    assert looks_uniform(-x, 4)
    assert looks_uniform(-y, 4)
    assert abs(np.corrcoef(x, y)[0, 1]) < 3 / np.sqrt(N)


def test_rotations_are_uniform():
    x, y = moved(N, 7, 0, rotation=30).T
    np.testing.assert_allclose(np.hypot(x, y), 7, atol=0.02)
    assert looks_uniform(np.degrees(np.arctan2(-y, x)), 30)


def test_scales_are_uniform_each_on_its_own():
    x, y = moved(N, 4, 5, scale=0.2).T
    assert looks_uniform(4 / x - 1, 0.2)
    assert looks_uniform(5 / y - 1, 0.2)
    assert abs(np.corrcoef(x, y)[0, 1]) < 3 / np.sqrt(N)


def test_shears_are_uniform():
    x, y = moved(N, 0, 7, shear=0.5).T
    np.testing.assert_allclose(y, 7, atol=0.02)
    assert looks_uniform(-x / 7, 0.5)


def test_elastic_displacements_are_bounded_and_have_no_direction():
    x, y = moved(N, 0, 0, elastic=3).T
    assert max(abs(x).max(), abs(y).max()) < 3
    for values in (x, y):
        assert abs(values.mean()) < 3 * values.std() / np.sqrt(N)
        assert 0.5 < values.std() < 1.5


def test_thickness_is_uniform():
    """Black and white stay, and what lies between moves by up to half of the levels either way."""
    image = np.tile(np.uint8([[0], [128], [255]] * 9 + [[0]]).reshape(1, 28, 1), (N, 1, 28))
    found = mpsmnist.augment(image, seed=42, **NONE | {"thickness": 1})
    np.testing.assert_array_equal(found[:, [0, 2]], image[:, [0, 2]])
    assert looks_uniform(found[:, 1, 0] / 255 - 0.5, 0.5)


BAD = {
    "rotation": ([-1, 180.5, np.nan, np.inf], "0 to 180"),
    "shift": ([-0.1, 28.1], "0 to 28"),
    "scale": ([-0.1, 1], "0 to 0.9"),
    "shear": ([-0.1, 1.1], "0 to 1"),
    "elastic": ([-0.1, 29], "0 to 28"),
    "thickness": ([-0.1, 4.1], "0 to 4"),
}


@pytest.mark.parametrize(("name", "values", "expected"), [(n, *bad) for n, bad in BAD.items()], ids=BAD)
def test_strengths_out_of_range(name, values, expected):
    for value in values:
        with pytest.raises(ValueError, match=rf"^{name}: {re.escape(f'{value:g}')}; expected {expected}$"):
            mpsmnist.augment(noise(1), seed=1, **{name: value})
    with pytest.raises(TypeError, match=rf"^{name}: 'much'; expected a number$"):
        mpsmnist.augment(noise(1), seed=1, **{name: "much"})


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {},
            TypeError,
            r"^augment\(\): seed is missing; expected augment\(images, \*, seed, first=0, rotation=",
        ),
        ({"seed": -1}, ValueError, r"^seed: -1; expected 0 to 2\*\*64 - 1$"),
        ({"seed": 0.5}, TypeError, r"^seed: 0\.5; expected an integer$"),
        (
            {"seed": 1, "first": 2**64},
            ValueError,
            r"^first: 18446744073709551616; expected 0 to 2\*\*64 - 1$",
        ),
        ({"seed": 1, "threads": 0}, ValueError, r"^threads: 0; expected 1 or more, or None"),
        ({"seed": 1, "threads": 1025}, ValueError, r"^threads: 1025; expected 1 to 1024"),
        ({"seed": 1, "rotate": 3}, TypeError, r"rotate; did you mean rotation\?$"),
    ],
)
def test_other_options_that_do_not_fit(options, error, words):
    with pytest.raises(error, match=words):
        mpsmnist.augment(noise(1), **options)


SCALED = r"; from floats of 0 to 1: numpy\.rint\(255 \* numpy\.asarray\(images\)\)\.astype\(numpy\.uint8\)$"
IMAGES = {
    "int64": (np.zeros((3, 784), np.int64), TypeError, r"; use images\.astype\(numpy\.uint8\)$"),
    "float32": (np.zeros((3, 784), np.float32), TypeError, rf"dtype float32; expected uint8 .*{SCALED}"),
    "bool": (np.zeros((3, 784), bool), TypeError, SCALED),
    "list": ([[0] * 784], TypeError, r"; use numpy\.asarray\(images, numpy\.uint8\)$"),
    "one image": (np.zeros((28, 28), np.uint8), ValueError, r"; use images\[None\] for one image$"),
}


@pytest.mark.parametrize(("images", "error", "words"), IMAGES.values(), ids=IMAGES.keys())
def test_images_that_do_not_fit(images, error, words):
    with pytest.raises(error, match=f"^images: .*{words}"):
        mpsmnist.augment(images, seed=1)


def cpu_seconds(call):
    before = time.thread_time()
    call()
    return time.thread_time() - before


def test_ctrl_c_ends_a_long_call():
    """By the thread's own time, which nothing else on the machine takes part in."""
    n, many = 5000, 500_000
    whole = cpu_seconds(lambda: mpsmnist.augment(np.zeros((n, 784), np.uint8), seed=1, threads=1)) * many / n
    images = np.zeros((many, 784), np.uint8)
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)

    def interrupted():
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(KeyboardInterrupt):
            mpsmnist.augment(images, seed=1, threads=1)

    try:
        assert cpu_seconds(interrupted) < whole / 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_a_forked_child_augments_too():
    script = """
import os
import numpy as np
import mpsmnist

images = np.arange(200 * 784, dtype=np.uint8).reshape(-1, 784)
expected = mpsmnist.augment(images, seed=1, threads=2)
if os.fork() == 0:
    os._exit(not np.array_equal(mpsmnist.augment(images, seed=1, threads=2), expected))
print(os.wait()[1])
"""
    assert run_program(script) == "0\n"


@limits_memory
def test_threads_that_the_system_refuses():
    script = """
import resource
import numpy as np
import mpsmnist

images = np.zeros((32 * 1000, 784), np.uint8)
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2 * images.nbytes, resource.RLIM_INFINITY))
try:
    mpsmnist.augment(images, seed=1, threads=1000)
except mpsmnist.DeviceError as error:
    print(error)
"""
    assert run_program(script).startswith("[cpu] the system allows no more threads (")
