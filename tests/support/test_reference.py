"""The oracle itself, against hand-computed cases and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from support import examples, pinned, reference


def test_splitmix64_gives_the_published_stream() -> None:
    # The first outputs for state 1234567, as in the reference implementation's well-known test vector.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert reference.splitmix64(1234567, 4).tolist() == expected
    assert reference.splitmix64(1234567, 2, skip=2).tolist() == expected[2:]


def test_splitmix64_wraps_at_64_bits() -> None:
    state = (2**64 - 1 + 0x9E3779B97F4A7C15) % 2**64
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    assert reference.splitmix64(2**64 - 1, 1).tolist() == [z ^ (z >> 31)]


@pytest.mark.parametrize("init", ["uniform", "he"])
def test_initial_values_are_in_range_and_fill_it(init: str) -> None:
    parameters = reference.initial_parameters(seed=7, init=init)
    assert sum(value.size for value in parameters.values()) == 3_274_634
    for name, value in parameters.items():
        assert value.dtype == np.float32
        if name.endswith(".bias"):
            assert np.all(value == np.float32(0.1 if init == "uniform" else 0.0))
            continue
        limit = 0.2 if init == "uniform" else math.sqrt(6 / math.prod(value.shape[:-1]))
        assert np.abs(value).max() <= limit * (1 + 1e-7)
        assert np.abs(value).max() > 0.99 * limit
        # The mean of m draws has standard deviation limit / sqrt(3 m).
        assert abs(value.mean()) < 5 * limit / math.sqrt(3 * value.size)


def test_convolution_of_a_single_pixel_is_the_turned_kernel() -> None:
    x = np.zeros((1, 7, 7, 1))
    x[0, 3, 3, 0] = 2.0
    weight = np.arange(25.0).reshape(5, 5, 1, 1)
    y = reference.conv_forward(x, weight)[0, :, :, 0]
    assert np.array_equal(y[1:6, 1:6], 2.0 * weight[::-1, ::-1, 0, 0])
    assert y[0].sum() == y[:, 0].sum() == y[6].sum() == y[:, 6].sum() == 0.0


def test_convolution_pads_with_zeros_on_every_side() -> None:
    y = reference.conv_forward(np.ones((1, 6, 6, 1)), np.ones((5, 5, 1, 1)))[0, :, :, 0]
    inside = np.array([3.0, 4.0, 5.0, 5.0, 4.0, 3.0])
    assert np.array_equal(y, np.outer(inside, inside))


def test_convolution_mixes_channels() -> None:
    x = np.arange(2 * 4 * 4 * 3, dtype=np.float64).reshape(2, 4, 4, 3)
    weight = np.zeros((5, 5, 3, 2))
    weight[2, 2] = [[1, 0], [10, 0], [0, 7]]  # the centre tap alone: a product per pixel
    y = reference.conv_forward(x, weight)
    assert np.array_equal(y, np.stack([x[..., 0] + 10 * x[..., 1], 7 * x[..., 2]], axis=-1))


@pytest.mark.parametrize(
    ("window", "winner"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], 3),
        ([[5.0, 2.0], [3.0, 4.0]], 0),
        ([[0.1, 0.1], [0.1, 0.1]], 0),
        ([[0.0, 7.0], [7.0, 7.0]], 1),
        ([[0.0, 1.0], [7.0, 7.0]], 2),
        ([[7.0 - 1e-14, 7.0], [0.0, 0.0]], 0),  # apart by rounding alone: one tie
        ([[7.0 - 1e-6, 7.0], [0.0, 0.0]], 1),
    ],
)
def test_pool_ties_go_to_the_first_in_row_major_order(window: list[list[float]], winner: int) -> None:
    x = np.array(window).reshape(1, 2, 2, 1)
    shares = reference.pool_shares(x, "first")
    assert shares.ravel().tolist() == [float(i == winner) for i in range(4)]
    assert reference.pool_forward(x, shares).item() == x.ravel()[winner]
    spread = np.zeros(4)
    spread[winner] = 3.0
    assert np.array_equal(reference.pool_backward(np.full((1, 1, 1, 1), 3.0), shares).ravel(), spread)


@pytest.mark.parametrize(
    ("ties", "expected"), [("first", [1, 0, 0, 0]), ("last", [0, 0, 0, 1]), ("shared", [0.5, 0, 0, 0.5])]
)
def test_pool_ties_follow_each_rule(ties: str, expected: list[float]) -> None:
    x = np.array([7.0, 0.0, 1.0, 7.0]).reshape(1, 2, 2, 1)
    shares = reference.pool_shares(x, ties)
    assert shares.ravel().tolist() == expected
    assert reference.pool_forward(x, shares).item() == 7.0


def test_pool_keeps_windows_and_channels_apart() -> None:
    x = np.arange(4 * 4 * 2, dtype=np.float64).reshape(1, 4, 4, 2)
    x[..., 1] *= -1
    shares = reference.pool_shares(x, "first")
    assert np.array_equal(shares[0, :, :, 0], np.full((2, 2, 4), [0, 0, 0, 1]))
    assert np.array_equal(shares[0, :, :, 1], np.full((2, 2, 4), [1, 0, 0, 0]))
    assert np.array_equal(reference.pool_forward(x, shares)[0, :, :, 0], [[10, 14], [26, 30]])


def test_pool_margin_ignores_ties_and_exact_zeros() -> None:
    def margin(*window: float) -> float:
        # A second window, clearly decided, so that the layer is never empty.
        other = [9.0, 1.0, 1.0, 1.0]
        x = np.stack([np.array(window), np.array(other)], axis=-1).reshape(1, 2, 2, 2)
        return reference._pool_margin(x)

    assert margin(2.0, 2.0, 2.0, 2.0) == 2.0  # how far ReLU is from closing
    assert margin(2.0, 1.5, 2.0, -1.0) == 0.5
    assert margin(-0.25, -3.0, -3.0, -3.0) == 0.25
    assert margin(0.0, 0.0, 0.0, 0.0) == 8.0  # only the other window counts


def test_log_softmax_of_a_hand_computed_row() -> None:
    rows = np.log([[1.0, 2.0, 5.0]]) + np.array([[1000.0]])  # a shift that would overflow exp
    assert np.allclose(np.exp(reference.log_softmax(rows)), [[0.125, 0.25, 0.625]], rtol=1e-12, atol=0)


def test_loss_of_hand_computed_logits() -> None:
    parameters = {name: np.zeros(shape) for name, shape in reference.parameter_shapes(3).items()}
    parameters["fc1.bias"] = np.log([1.0, 2.0, 5.0])
    images, _ = examples.discs(2)
    by_class = reference.loss(parameters, images, np.array([2, 0]))
    assert by_class == pytest.approx(-(math.log(0.625) + math.log(0.125)) / 2, rel=1e-12)
    soft = reference.loss(parameters, images, np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]))
    assert soft == pytest.approx(-(0.5 * math.log(0.125 * 0.25) + math.log(0.625)) / 2, rel=1e-12)


def test_flat_order_round_trip() -> None:
    parameters = reference.initial_parameters(num_classes=4, seed=1)
    flat = reference.flatten(parameters)
    back = reference.unflatten(flat, num_classes=4)
    assert list(back) == list(parameters)
    for name, value in parameters.items():
        assert np.array_equal(back[name], value)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("init", ["uniform", "he"])
def test_gradients_agree_with_finite_differences(init: str, soft: bool) -> None:
    """Central differences along random directions within each parameter.

    With step h the truncation error is of order h**2 and rounding of order 1e-16 * loss / h: about 1e-9 of
    the gradient for h = 1e-6. No ReLU or pooling decision is so close that the step changes it.
    """
    images, labels = (part[-2:] for part in examples.discs(25))
    targets = examples.soft_labels(2) if soft else labels
    initial = reference.initial_parameters(seed=examples.TRAINER_SEED, init=init)
    parameters = reference.as_float64(initial)
    random = np.random.default_rng(0)
    if init == "he":  # with biases of 0 the blank background sits right on ReLU's kink
        parameters |= {name: value + 0.1 for name, value in parameters.items() if name.endswith(".bias")}
    assert reference.decision_margin(parameters, images) > examples.SAFE_MARGIN
    _, gradients = reference.loss_and_gradients(parameters, images, targets)
    for name, gradient in gradients.items():
        assert gradient.shape == parameters[name].shape
        direction = random.standard_normal(gradient.shape)
        direction /= np.linalg.norm(direction)
        h = 1e-6
        above = reference.loss(parameters | {name: parameters[name] + h * direction}, images, targets)
        below = reference.loss(parameters | {name: parameters[name] - h * direction}, images, targets)
        slope = (above - below) / (2 * h)
        # Relative to the gradient's norm: a random direction may be nearly orthogonal to it.
        assert abs(slope - (gradient * direction).sum()) < 1e-6 * np.linalg.norm(gradient), name


def test_gradient_is_the_mean_over_the_batch() -> None:
    images, labels = examples.discs(3)
    parameters = reference.as_float64(reference.initial_parameters(seed=1))
    loss, gradients = reference.loss_and_gradients(parameters, images, labels)
    each = [reference.loss_and_gradients(parameters, images[i : i + 1], labels[i : i + 1]) for i in range(3)]
    assert loss == pytest.approx(sum(part[0] for part in each) / 3, rel=1e-12)
    for name, gradient in gradients.items():
        mean = sum(part[1][name] for part in each) / 3
        assert np.linalg.norm(gradient - mean) <= 1e-12 * np.linalg.norm(mean), name


def test_momentum_accumulates_velocity() -> None:
    oracle = reference.Sgd({"w": np.array([1.0])}, learning_rate=0.5, momentum=0.25)
    oracle.apply({"w": np.array([4.0])})  # v = 4, w = 1 - 2
    assert (oracle.velocity["w"].item(), oracle.parameters["w"].item()) == (4.0, -1.0)
    oracle.apply({"w": np.array([2.0])})  # v = 0.25 * 4 + 2, w = -1 - 1.5
    assert (oracle.velocity["w"].item(), oracle.parameters["w"].item()) == (3.0, -2.5)


@pytest.mark.parametrize("init", ["uniform", "he"])
def test_examples_leave_no_decision_unclear(init: str) -> None:
    images, _ = examples.discs(examples.CLEAR)
    parameters = reference.as_float64(reference.initial_parameters(seed=examples.TRAINER_SEED, init=init))
    assert reference.decision_margin(parameters, images) > examples.SAFE_MARGIN


def tied_share(z: reference.Array) -> float:
    """The share of pool windows where ReLU is open whose maximum is there more than once."""
    windows = np.sort(reference._windows(z), axis=-1)
    tied = windows[..., 2] >= windows[..., 3] - reference.TIE * np.abs(windows).max()
    return float(tied[windows[..., 3] > 0].mean())


@pytest.mark.parametrize("layer", ["conv0", "conv1"])
def test_tied_examples_tell_the_conventions_apart(layer: str) -> None:
    """The gradient of the layer's weights shows who wins, and no other gradient does."""
    parameters, images, labels = examples.tied(layer)
    parameters = reference.as_float64(parameters)
    assert reference.decision_margin(parameters, images) > examples.SAFE_MARGIN
    activations = reference.forward(parameters, images)
    ties = {"conv0": tied_share(activations.z0), "conv1": tied_share(activations.z1)}
    assert ties.pop(layer) > 0.4
    assert set(ties.values()) == {0.0}
    _, first = reference.loss_and_gradients(parameters, images, labels)
    _, last = reference.loss_and_gradients(parameters, images, labels, "last")
    _, shared = reference.loss_and_gradients(parameters, images, labels, "shared")
    for name, gradient in first.items():
        norm = np.linalg.norm(gradient)
        for other, another in [(last, first), (shared, first), (shared, last)]:
            difference = np.linalg.norm(other[name] - another[name])
            assert difference > 0.1 * norm if name == f"{layer}.weight" else difference <= 1e-12 * norm, name


def test_examples_look_like_digits_to_the_network() -> None:
    images, labels = examples.discs(64)
    assert np.array_equal(examples.discs(5)[0], images[:5])
    assert set(labels.tolist()) == set(range(10))
    blank = (images == 0).mean()
    assert 0.7 < blank < 0.9  # MNIST: 0.81
    assert images[images > 0].min() >= 64


def test_pinned_losses_are_the_oracles() -> None:
    run = next(run for run in pinned.LOSSES if run.momentum > 0)
    assert pinned.oracle_losses(run, steps=3) == pytest.approx(pinned.LOSSES[run][:3], rel=1e-8)
