"""state_dict and load_state_dict: exact round trips, and nothing half-loaded."""

from __future__ import annotations

import types

import numpy as np
import pytest

from mpsmnist import NotFiniteError
from support import checks, examples


def trained(make_trainer, **options):
    trainer = make_trainer(init="he", **options)
    for seed in (400, 401):
        trainer.step(*examples.discs(3, seed=seed))
    return trainer


def split(state):
    """The weights and the momentum buffers of a state."""
    weights = {name: value for name, value in state.items() if not name.startswith("momentum.")}
    return weights, {name: value for name, value in state.items() if name not in weights}


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_round_trip_continues_to_the_bit(make_trainer, momentum):
    original = trained(make_trainer, momentum=momentum)
    state = original.state_dict()
    copy = make_trainer(seed=77, momentum=momentum)
    copy.load_state_dict(state)
    checks.assert_same_bits(checks.flat_state(copy), checks.flat_state(original))
    batch = examples.discs(3, seed=402)
    assert copy.step(*batch) == original.step(*batch)
    checks.assert_same_bits(checks.flat_state(copy), checks.flat_state(original))


def test_momentum_is_there_only_when_used(make_trainer):
    without, with_momentum = make_trainer().state_dict(), make_trainer(momentum=0.9).state_dict()
    assert split(without)[1] == {}
    assert list(split(with_momentum)[1]) == [f"momentum.{name}" for name in without]


def test_states_are_copies(make_trainer):
    trainer = trained(make_trainer, momentum=0.9)
    before = checks.flat_state(trainer)
    state = trainer.state_dict()
    for value in state.values():
        value.fill(np.nan)
    checks.assert_same_bits(checks.flat_state(trainer), before)

    state = trainer.state_dict()
    trainer.step(*examples.discs(3))
    checks.assert_same_bits(np.concatenate([value.ravel() for value in state.values()]), before)

    trainer.load_state_dict(state)
    for value in state.values():
        value.fill(np.nan)
    checks.assert_same_bits(checks.flat_state(trainer), before)


def test_state_outlives_the_trainer(make_trainer):
    trainer = trained(make_trainer)
    expected = checks.flat_state(trainer)
    state = trainer.state_dict()
    del trainer
    checks.assert_same_bits(np.concatenate([value.ravel() for value in state.values()]), expected)


def test_loading_weights_alone_zeroes_the_momentum(make_trainer):
    trainer = trained(make_trainer, momentum=0.9)
    weights, momentum = split(trainer.state_dict())
    assert all(np.any(value) for value in momentum.values())
    trainer.load_state_dict(weights)
    loaded_weights, loaded_momentum = split(trainer.state_dict())
    assert not any(np.any(value) for value in loaded_momentum.values())
    for name, value in weights.items():
        checks.assert_same_bits(loaded_weights[name], value)


def test_a_trainer_without_momentum_ignores_it(make_trainer):
    state = trained(make_trainer, momentum=0.9).state_dict()
    trainer = make_trainer()
    trainer.load_state_dict(state)
    loaded = trainer.state_dict()
    assert split(loaded)[1] == {}
    for name, value in loaded.items():
        checks.assert_same_bits(value, state[name])


def spread(value):
    wide = np.zeros((*value.shape, 2), value.dtype)
    wide[..., 1] = value
    return wide[..., 1]


FORMS = {
    "float64": lambda value: value.astype(np.float64),
    "Fortran order": np.asfortranarray,
    "strided": spread,
    "byte-swapped": lambda value: value.astype(value.dtype.newbyteorder()),
    "buffer": memoryview,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_values_in_other_forms(make_trainer, form):
    original = trained(make_trainer)
    trainer = make_trainer()
    trainer.load_state_dict({name: form(value) for name, value in original.state_dict().items()})
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(original))


def test_any_mapping_in_any_order(make_trainer):
    original = trained(make_trainer, momentum=0.9)
    state = original.state_dict()
    trainer = make_trainer(momentum=0.9)
    trainer.load_state_dict(types.MappingProxyType({name: state[name] for name in reversed(state)}))
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(original))


def changed(**changes):
    """A function from a good state to a bad one; None takes the name out."""

    def change(state):
        merged = state | {name.replace("__", "."): value for name, value in changes.items()}
        return {name: value for name, value in merged.items() if value is not None}

    return change


def with_value(name, value):
    def change(state):
        bad = state[name].copy()
        bad.flat[-1] = value
        return state | {name: bad}

    return change


BAD_STATES = {
    "missing": (changed(conv1__bias=None), ValueError, r"conv1\.bias.*missing"),
    "empty": (lambda state: {}, ValueError, r"conv0\.weight.*missing"),
    "unknown": (changed(fc2__bias=np.zeros(1, np.float32)), ValueError, r"fc2\.bias.*not a parameter"),
    "unknown momentum": (
        changed(momentum__fc2__bias=np.zeros(1, np.float32)),
        ValueError,
        r"momentum\.fc2\.bias.*not a parameter",
    ),
    "momentum missing": (changed(momentum__fc0__weight=None), ValueError, r"momentum\.fc0\.weight.*missing"),
    "flat": (
        lambda state: state | {"fc1.weight": state["fc1.weight"].ravel()},
        ValueError,
        r"fc1\.weight.*\(10240,\).*\(1024, 10\)",
    ),
    "transposed": (
        lambda state: state | {"fc1.weight": state["fc1.weight"].T},
        ValueError,
        r"fc1\.weight.*\(10, 1024\).*\(1024, 10\)",
    ),
    "momentum shape": (
        changed(momentum__fc1__bias=np.zeros(9, np.float32)),
        ValueError,
        r"momentum\.fc1\.bias.*\(9,\).*\(10,\)",
    ),
    "integers": (changed(fc1__bias=np.zeros(10, np.int64)), TypeError, r"fc1\.bias.*int64"),
    "bool": (changed(fc1__bias=np.zeros(10, bool)), TypeError, r"fc1\.bias.*bool"),
    "None": (lambda state: state | {"fc1.bias": None}, TypeError, r"fc1\.bias"),
    "NaN": (with_value("conv1.weight", np.nan), NotFiniteError, r"conv1\.weight.*nan"),
    "infinity": (with_value("fc1.bias", np.inf), NotFiniteError, r"fc1\.bias.*inf"),
    "momentum NaN": (with_value("momentum.fc0.bias", np.nan), NotFiniteError, r"momentum.*fc0\.bias.*nan"),
    "past float32": (changed(fc1__bias=np.full(10, 1e300)), NotFiniteError, r"fc1\.bias.*inf"),
    "not a mapping": (list, TypeError, r"state.*list.*mapping"),
    "not text": (lambda state: state | {3: np.zeros(1, np.float32)}, ValueError, r"3.*not a parameter"),
}


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize(("change", "error", "words"), BAD_STATES.values(), ids=BAD_STATES.keys())
def test_bad_states_change_nothing(make_trainer, change, error, words):
    trainer = trained(make_trainer, momentum=0.9)
    before = checks.flat_state(trainer)
    # All other values differ from the trainer's, so that a half-loaded state would show.
    state = {name: value + np.float32(1) for name, value in trainer.state_dict().items()}
    with pytest.raises(error, match=words):
        trainer.load_state_dict(change(state))
    checks.assert_same_bits(checks.flat_state(trainer), before)
    assert np.isfinite(trainer.step(*examples.discs(3)))


def test_a_state_of_another_network_is_refused(make_trainer):
    state = make_trainer(num_classes=26).state_dict()
    with pytest.raises(ValueError, match=r"fc1\.weight.*\(1024, 26\).*\(1024, 10\)"):
        make_trainer().load_state_dict(state)


def test_loading_waits_for_steps_in_flight(make_trainer):
    trainer = make_trainer(init="he", momentum=0.9)
    state = trainer.state_dict()
    before = checks.flat_state(trainer)
    for _ in range(2):
        trainer.step_async(*examples.discs(16))
    trainer.load_state_dict(state)
    checks.assert_same_bits(checks.flat_state(trainer), before)
    assert trainer.steps == 2
