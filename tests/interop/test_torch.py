"""PyTorch's module of the network predicts as the Trainer does, and its weights come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpsmnist
from mpsmnist.network import channels_first_shapes
from support import checks, examples
from support.checks import ROUNDING
from support.programs import run_program

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from mpsmnist.interop.torch import Network, load_state_dict, to_module, to_state_dict  # noqa: E402


def probabilities(module: Any, images: Any) -> Any:
    with torch.inference_mode():
        return module(torch.from_numpy(images)).softmax(dim=1).numpy()


def test_the_module_predicts_what_the_trainer_does(trained: Any, pictures: Any) -> None:
    expected = trained.predict(pictures)
    assert np.abs(probabilities(to_module(trained), pictures) - expected).max() < ROUNDING
    assert len(set(expected.argmax(axis=1))) > 1


def test_digits_are_read_as_by_the_trainer(digits: Any, check_digits: Callable[[Any], None]) -> None:
    module = to_module(digits[0])
    check_digits(lambda images: probabilities(module, images))


def test_names_and_shapes(trained: Any) -> None:
    state = to_state_dict(trained)
    assert {name: tuple(value.shape) for name, value in state.items()} == channels_first_shapes(3)
    module_state = Network(3).state_dict()
    assert list(module_state) == list(state)
    assert {name: value.shape for name, value in module_state.items()} == {
        name: value.shape for name, value in state.items()
    }
    assert all(value.dtype == torch.float32 and value.is_contiguous() for value in state.values())


def test_there_and_back_gives_the_same_bits(trained: Any) -> None:
    other = mpsmnist.Trainer(device="cpu", num_classes=3, momentum=0.9)
    other.step(*examples.discs(4, num_classes=3))
    load_state_dict(other, to_module(trained).state_dict())
    weights = checks.flat_state(trained)[: checks.flat_state(trained).size // 2]
    checks.assert_same_bits(checks.flat_state(other), np.concatenate([weights, np.zeros_like(weights)]))


def test_parameters_that_require_gradients_come_back_too(trained: Any) -> None:
    other = mpsmnist.Trainer(device="cpu", num_classes=3)
    load_state_dict(other, dict(to_module(trained).named_parameters()))
    images, _ = examples.discs(4)
    checks.assert_same_bits(other.predict(images), trained.predict(images))


def test_a_step_in_pytorch_is_a_step_here() -> None:
    trainer = mpsmnist.Trainer(device="cpu", init="he", seed=examples.TRAINER_SEED, learning_rate=0.1)
    before = checks.flat_state(trainer)
    module = to_module(trainer)
    images, labels = examples.discs(8)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    inputs = torch.from_numpy(images[:, None].astype(np.float32) / np.float32(255))
    loss = torch.nn.functional.cross_entropy(module(inputs), torch.from_numpy(labels))
    loss.backward()
    optimizer.step()
    there = mpsmnist.Trainer(device="cpu")
    load_state_dict(there, module.state_dict())
    assert trainer.step(images, labels) == pytest.approx(loss.item(), rel=1e-5)
    # Both errors are of float32; a parameter in another place would make the difference as large as the step.
    step = checks.flat_state(trainer).astype(np.float64) - before
    assert checks.relative_error(checks.flat_state(there).astype(np.float64) - before, step) < 1e-3


def test_the_module_has_a_copy(trained: Any) -> None:
    before = checks.flat_state(trained)
    with torch.no_grad():
        for parameter in to_module(trained).parameters():
            assert parameter.requires_grad
            parameter.zero_()
    checks.assert_same_bits(checks.flat_state(trained), before)


def test_no_random_numbers_of_pytorch_are_used(trained: Any) -> None:
    before = torch.random.get_rng_state()
    to_module(trained)
    assert torch.equal(torch.random.get_rng_state(), before)


BAD_STATES: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "a module": (lambda s: Network(3), TypeError, "^state: a Network; expected a mapping, as state_dict"),
    "a name lacks": (
        lambda s: {k: v for k, v in s.items() if k != "fc1.bias"},
        ValueError,
        r"^state: the names \['conv0\.weight'.*; expected conv0\.weight, .*, fc1\.bias$",
    ),
    "other names": (
        lambda s: {f"module.{k}": v for k, v in s.items()},
        ValueError,
        r"^state: the names \['module\.conv0\.weight'.*; expected conv0\.weight, conv0\.bias",
    ),
    "an array": (
        lambda s: s | {"fc1.bias": s["fc1.bias"].numpy()},
        TypeError,
        r'^state: "fc1\.bias": a ndarray; expected a tensor',
    ),
    "float64": (
        lambda s: s | {"fc1.bias": s["fc1.bias"].double()},
        TypeError,
        r'^state: "fc1\.bias": dtype torch\.float64; expected torch\.float32: use \.float\(\)$',
    ),
    "bfloat16": (lambda s: s | {"fc0.bias": s["fc0.bias"].bfloat16()}, TypeError, r"dtype torch\.bfloat16"),
    "sparse": (
        lambda s: s | {"fc1.weight": s["fc1.weight"].to_sparse()},
        TypeError,
        r"layout torch\.sparse_coo; expected torch\.strided: use \.to_dense\(\)$",
    ),
    "elsewhere": (
        lambda s: s | {"fc1.bias": s["fc1.bias"].to("meta")},
        TypeError,
        r'^state: "fc1\.bias": on device \'meta\'; expected \'cpu\': use \.cpu\(\)$',
    ),
    "more classes": (
        lambda s: Network(4).state_dict(),
        ValueError,
        r'^state: "fc1\.weight": shape \(4, 1024\); expected \(3, 1024\), as PyTorch has it$',
    ),
    "our layout": (
        lambda s: s | {"fc0.weight": s["fc0.weight"].T},
        ValueError,
        r'^state: "fc0\.weight": shape \(3136, 1024\); expected \(1024, 3136\)',
    ),
    "not finite": (
        lambda s: s | {"fc1.bias": s["fc1.bias"] * float("nan")},
        ValueError,
        r"^state: .*fc1\.bias.*nan",
    ),
}


@pytest.mark.parametrize("bad", BAD_STATES.values(), ids=BAD_STATES.keys())
def test_other_states_are_refused_before_anything_changes(trained: Any, bad: Any) -> None:
    make, error, words = bad
    before = checks.flat_state(trained)
    with pytest.raises(error, match=words):
        load_state_dict(trained, make(to_state_dict(trained)))
    checks.assert_same_bits(checks.flat_state(trained), before)


@pytest.mark.parametrize("function", [to_module, to_state_dict, lambda t: load_state_dict(t, {})])
def test_what_is_no_trainer(function: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"^trainer: a Network; expected a Trainer$"):
        function(Network())


@pytest.mark.parametrize("first", ["torch", "mpsmnist"])
def test_either_may_be_imported_first(first: str) -> None:
    """Steps of both by turns: the losses of the Trainer are those that it has alone."""
    script = (
        f"import {first}\nimport numpy, torch, mpsmnist\n"
        "def trainer(): return mpsmnist.Trainer('cpu', init='he', threads=2)\n"
        "numbers = numpy.random.default_rng(0)\n"
        "images = numbers.random((8, 28, 28), numpy.float32)\n"
        "labels = numbers.integers(0, 10, 8)\n"
        "alone, beside = trainer(), trainer()\n"
        "expected = [alone.step(images, labels) for _ in range(20)]\n"
        "from mpsmnist.interop.torch import to_module\n"
        "module = to_module(beside)\n"
        "optimizer = torch.optim.SGD(module.parameters(), lr=0.01)\n"
        "x, y = torch.from_numpy(images), torch.from_numpy(labels)\n"
        "for loss in expected:\n"
        "    assert beside.step(x, y) == loss\n"
        "    optimizer.zero_grad()\n"
        "    torch.nn.functional.cross_entropy(module(x[:, None]), y).backward()\n"
        "    optimizer.step()\n"
        "print(beside.steps)\n"
    )
    assert run_program(script) == "20\n"
