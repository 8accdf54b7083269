"""Signatures of the native functions: inspect reads what the stub says, and calls that do not fit say why."""

from __future__ import annotations

import ast
import importlib.resources
import inspect
import re

import pytest

import mpsmnist
from mpsmnist import _core
from support import examples


def stub_functions():
    """Every function and method of the stub but the setters: (class or "", its syntax tree)."""
    source = (importlib.resources.files("mpsmnist") / "_core.pyi").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        owner = node.name if isinstance(node, ast.ClassDef) else ""
        for function in node.body if owner else [node]:
            if isinstance(function, ast.FunctionDef) and not function.decorator_list:
                yield owner, function


def signature_of(function):
    """What the stub says, without the types."""
    bare = ast.FunctionDef(
        name=function.name, args=function.args, body=[ast.Pass()], decorator_list=[], type_params=[]
    )
    for argument in ast.walk(function.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    names = {}
    exec(compile(ast.fix_missing_locations(ast.Module([bare], [])), "stub", "exec"), names)
    return inspect.signature(names[function.name])


@pytest.mark.parametrize(
    ("owner", "function"), [pytest.param(o, f, id=f"{o}.{f.name}") for o, f in stub_functions()]
)
def test_they_are_those_of_the_stub(owner, function):
    native = getattr(getattr(_core, owner), function.name) if owner else getattr(_core, function.name)
    assert inspect.signature(native) == signature_of(function)


def test_the_class_and_bound_methods_have_them_too():
    whole = inspect.signature(mpsmnist.Trainer)
    parameters = list(inspect.signature(mpsmnist.Trainer.__init__).parameters.values())
    assert list(whole.parameters.values()) == parameters[1:]
    assert whole.bind("cpu", seed=3).arguments == {"device": "cpu", "seed": 3}
    trainer = mpsmnist.Trainer(device="cpu")
    assert str(inspect.signature(trainer.step_async)) == "(images, labels)"


def test_docstrings_are_without_them():
    assert (mpsmnist.Trainer.__doc__ or "").startswith("Trains the MNIST")
    assert (mpsmnist.Trainer.step.__doc__ or "").startswith("One update")


TRAINER = r"expected Trainer\(device='auto', learning_rate=0\.01, .*, threads=None, \*, standardized=False\)$"

BAD_CALLS = {
    "an abbreviation": (
        lambda t: mpsmnist.Trainer(lr=0.1),
        r"^Trainer\(\): .* lr; did you mean learning_rate\?$",
    ),
    "a misspelling": (
        lambda t: t.step(images=[], label=[]),
        r"^Trainer\.step\(\): .* label; did you mean labels\?$",
    ),
    "a part": (lambda t: mpsmnist.Trainer(classes=3), r"classes; did you mean num_classes\?$"),
    "an unknown name": (lambda t: mpsmnist.Trainer(batch_size=3), rf"^Trainer\(\): .* batch_size; {TRAINER}"),
    "a name that UTF-8 lacks": (
        lambda t: mpsmnist.Trainer(**{"\udc80": 3}),
        rf"^Trainer\(\): .* \\udc80; {TRAINER}",
    ),
    "given twice": (
        lambda t: mpsmnist.Trainer("cpu", device="cpu"),
        rf"^Trainer\(\): device is given twice; {TRAINER}",
    ),
    "too many": (
        lambda t: mpsmnist.Trainer(*"12345678"),
        rf"^Trainer\(\): more than 7 arguments by position; {TRAINER}",
    ),
    "one for none": (lambda t: t.synchronize(1), r"^Trainer\.synchronize\(\): more than 0 arguments"),
    "missing": (
        lambda t: t.run([], []),
        r"^Trainer\.run\(\): batches is missing; expected Trainer\.run\(images, labels, ",
    ),
    "a function's": (
        lambda t: _core.splitmix64(1),
        r"^splitmix64\(\): positions is missing; expected splitmix64\(",
    ),
    "by position only": (
        lambda t: t.gradients(*examples.discs(1)).get(name="fc0.bias"),
        r"^Gradients\.get\(\): no argument is called name; expected Gradients\.get\(name, default=None, /\)$",
    ),
    "no class number": (
        lambda t: _core.parameter_shapes("ten"),
        r"^num_classes: 'ten'; expected an integer$",
    ),
    "text for a seed": (
        lambda t: _core.splitmix64("one", 1),
        "^seed: dtype <U3; expected integers from 0 to 2",
    ),
    "a fraction": (
        lambda t: _core.splitmix64(1, 0.5),
        "^positions: dtype float64; expected integers from 0 to 2",
    ),
    "a seed past 64 bits": (lambda t: _core.splitmix64(2**64, 1), "^seed: dtype object; expected integers"),
}


@pytest.mark.parametrize(("call", "words"), BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_what_does_not_fit_is_named_in_one_line(call, words):
    trainer = mpsmnist.Trainer(device="cpu")
    with pytest.raises(TypeError) as caught:
        call(trainer)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_of_the_generator_out_of_range():
    with pytest.raises(ValueError, match=r"^positions: -1; expected 0 to 2\*\*64 - 1$"):
        _core.splitmix64(1, [3, -1])
    with pytest.raises(ValueError, match="broadcast"):
        _core.splitmix64([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"^num_classes: 10{30}; expected 2 to 100000$"):
        _core.parameter_shapes(10**30)
