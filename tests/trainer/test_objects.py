"""Trainer, Gradients and PendingLoss as objects: half-made ones, copies, reprs; gradients as a mapping."""

from __future__ import annotations

import collections.abc
import copy
import pickle
import re

import numpy as np
import pytest

import mpsmnist
from mpsmnist.network import to_channels_first
from support import checks, examples

CLASSES = (mpsmnist.Trainer, mpsmnist.Gradients, mpsmnist.PendingLoss)
SPECIAL = {"__contains__", "__getitem__", "__iter__", "__len__", "__reduce__", "__repr__"}
ARGUMENTS = (
    (),
    ("conv0.weight",),
    (np.zeros((1, 784), np.uint8), [0]),
    (np.zeros((1, 784), np.uint8), [0], [[0]]),
)
VIEWS = {"keys", "values", "items"}  # made of the object, which is first used through them


def use(thing, name, arguments):
    result = getattr(thing, name)(*arguments)
    return list(result) if name in VIEWS else result


@pytest.mark.parametrize("method", ["load_state_dict", "apply_gradients"])
def test_a_name_that_utf_8_lacks_is_shown_escaped(method):
    trainer = mpsmnist.Trainer(device="cpu")
    with pytest.raises(ValueError, match=r"'\\udc80' is not a parameter"):
        getattr(trainer, method)({"\udc80": 1})


def test_init_within_init_is_refused():
    """pybind11 would overwrite the Trainer that the inner call made, and abort when the object goes."""
    half_made = mpsmnist.Trainer.__new__(mpsmnist.Trainer)

    class Rate:
        def __float__(self):
            half_made.__init__(device="cpu")
            return 0.1

    with pytest.raises(TypeError, match="__init__ ran twice"):
        half_made.__init__(device="cpu", learning_rate=Rate())
    assert half_made.learning_rate == 0.01  # the inner one's


@pytest.mark.parametrize("kind", CLASSES)
def test_what_new_alone_makes_is_refused(kind):
    """Whatever is called, with arguments that fit or not: TypeError, as there is no C++ object behind it."""
    half_made = kind.__new__(kind)
    names = [name for name in vars(kind) if not name.startswith("_") or name in SPECIAL]
    assert len(names) > 3
    for name in names:
        member = vars(kind)[name]
        if isinstance(member, property):
            with pytest.raises(TypeError, match=f"^self: a {kind.__name__} without its __init__"):
                getattr(half_made, name)
            continue
        for arguments in ARGUMENTS:
            with pytest.raises(
                TypeError, match=f"^self: a {kind.__name__} without its __init__|^{kind.__name__}.*"
            ):
                use(half_made, name, arguments)
    with pytest.raises(TypeError, match="without its __init__"):
        copy.copy(half_made)


@pytest.mark.parametrize("kind", CLASSES)
def test_no_other_way_makes_one(kind):
    with pytest.raises(TypeError, match="is not safe"):
        object.__new__(kind)
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Derived", (kind,), {})


def test_a_half_made_one_can_be_finished():
    trainer = mpsmnist.Trainer.__new__(mpsmnist.Trainer)
    trainer.__init__(device="cpu")
    assert np.isfinite(trainer.step(*examples.discs(2)))


def test_self_must_be_of_the_class(make_trainer):
    with pytest.raises(TypeError, match=r"^self: 3; expected a Trainer$"):
        mpsmnist.Trainer.step(3, *examples.discs(1))
    with pytest.raises(TypeError, match=r"^self: 3; expected a Trainer$"):
        mpsmnist.Trainer.device.fget(3)
    with pytest.raises(TypeError, match=r"^self: <Trainer on .*; expected a PendingLoss$"):
        mpsmnist.PendingLoss.result(make_trainer())


def made(make_trainer):
    trainer = make_trainer()
    batch = examples.discs(1)
    return {
        "state_dict": trainer,
        "flat": trainer.gradients(*batch),
        "result": trainer.step_async(*batch),
    }


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda f: f.__qualname__)
def test_copies_and_pickles_say_what_to_do_instead(make_trainer, duplicate):
    for words, thing in made(make_trainer).items():
        name = type(thing).__name__
        with pytest.raises(TypeError, match=f"^a {name} cannot be copied or pickled: .*{words}"):
            duplicate(thing)


def test_reprs_are_one_informative_line(device):
    trainer = mpsmnist.Trainer(device, 0.25, momentum=0.5, num_classes=26, seed=7, threads=1)
    assert repr(trainer) == (
        f"<Trainer on {device}, {trainer.threads} thread{'s' * (trainer.threads > 1)}, 26 classes, "
        "learning rate 0.25, momentum 0.5, seed 7>"
    )
    assert repr(mpsmnist.Trainer(device, standardized=True)).endswith(", seed 0, standardized images>")
    gradients = trainer.gradients(*examples.discs(2))
    assert repr(gradients) == f"<Gradients of 3291034 parameters, loss {gradients.loss:g}>"
    pending = trainer.step_async(*examples.discs(2))
    assert re.fullmatch("<PendingLoss, (in flight|done)>", repr(pending))
    pending.result()
    assert repr(pending) == "<PendingLoss, done>"


@pytest.fixture(scope="module")
def gradients(make_trainer):
    return make_trainer().gradients(*examples.discs(2))


def test_gradients_are_a_mapping(gradients):
    assert isinstance(gradients, collections.abc.Mapping)
    assert len(gradients) == len(gradients.keys()) == 8
    assert list(gradients) == list(gradients.keys())
    for (name, value), other in zip(gradients.items(), gradients.values(), strict=True):
        assert name in gradients
        checks.assert_same_bits(value, gradients[name])
        checks.assert_same_bits(other, gradients[name])
        checks.assert_same_bits(gradients.get(name), gradients[name])
        assert np.shares_memory(value, gradients.flat)
    checks.assert_same_state(dict(gradients), {**gradients})


def test_names_that_no_gradient_has(gradients):
    for name in ("fc2.bias", 3, None, "conv0.weight\0"):
        assert name not in gradients
        assert gradients.get(name) is None
        assert gradients.get(name, "other") == "other"
        with pytest.raises(KeyError, match=r"; expected one of conv0\.weight, conv0\.bias"):
            gradients[name]


def test_gradients_in_the_layout_of_others(gradients):
    checks.assert_same_state(to_channels_first(gradients), to_channels_first(dict(gradients)))


@pytest.mark.parametrize("momentum", [1e-46, 1e-40, 1.17e-38, 5e-324])
def test_momentum_that_no_normal_float_holds_is_none(make_trainer, momentum):
    trainer, plain = make_trainer(init="he", momentum=momentum), make_trainer(init="he")
    assert trainer.momentum == 0
    trainer.load_state_dict(trainer.state_dict())
    for each in (trainer, plain):
        each.step(*examples.discs(3))
    checks.assert_same_state(trainer.state_dict(), plain.state_dict())
    assert "momentum.conv0.bias" in make_trainer(momentum=1.18e-38).state_dict()
