"""What the package exports: names, version, types and documentation."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.resources
import inspect
import pathlib
import re

import pytest

import mpsmnist
from mpsmnist import _core

ROOT = pathlib.Path(__file__).parents[2]

EXPORTS = {
    "CheckpointError",
    "DatasetError",
    "DeviceError",
    "Error",
    "Evaluation",
    "Gradients",
    "NotFiniteError",
    "PendingLoss",
    "Trainer",
    "__version__",
    "augment",
    "describe_devices",
    "devices",
    "fastest_device",
}


def stub():
    """The syntax tree of the installed _core.pyi: the Python contract."""
    return ast.parse((importlib.resources.files("mpsmnist") / "_core.pyi").read_text(encoding="utf-8"))


def stub_functions():
    """Every documented function and method of the stub: (class or "", name)."""
    for node in stub().body:
        owner = node.name if isinstance(node, ast.ClassDef) else ""
        for function in node.body if owner else [node]:
            if not isinstance(function, ast.FunctionDef):
                continue
            special = function.name.startswith("__") and function.name != "__init__"
            setter = any(isinstance(decorator, ast.Attribute) for decorator in function.decorator_list)
            if not special and not setter:
                yield owner, function.name


def test_exported_names():
    assert set(mpsmnist.__all__) == EXPORTS
    for name in EXPORTS:
        assert hasattr(mpsmnist, name), name


@pytest.mark.parametrize("name", sorted(EXPORTS - {"__version__"}))
def test_exports_belong_to_the_package(name):
    exported = getattr(mpsmnist, name)
    assert exported.__module__.split(".")[0] == "mpsmnist"
    assert exported.__name__ == name


def test_one_version():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    assert found is not None
    assert mpsmnist.__version__ == found.group(1)
    assert _core.__version__ == found.group(1)
    assert importlib.metadata.version("mpsmnist") == found.group(1)


def test_types_are_shipped():
    assert (importlib.resources.files("mpsmnist") / "py.typed").is_file()


def test_errors_have_one_base():
    for error in (mpsmnist.DeviceError, mpsmnist.DatasetError, mpsmnist.CheckpointError):
        assert issubclass(error, mpsmnist.Error)
        assert error.__doc__
    assert issubclass(mpsmnist.Error, Exception)
    assert not issubclass(mpsmnist.Error, (ValueError, OSError))


def test_what_is_not_finite_is_a_callers_mistake():
    assert issubclass(mpsmnist.NotFiniteError, ValueError)
    assert mpsmnist.NotFiniteError.__doc__


def test_the_stub_names_what_there_is():
    described = {
        node.name if isinstance(node, (ast.ClassDef, ast.FunctionDef)) else node.target.id
        for node in stub().body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AnnAssign))
    }
    assert described == {name for name in vars(_core) if not name.startswith("__") or name == "__version__"}


@pytest.mark.parametrize(("owner", "name"), list(stub_functions()), ids=str)
def test_functions_are_documented(owner, name):
    """Their arguments are in the signature: tests/trainer/test_signatures.py."""
    documented = getattr(getattr(_core, owner), name) if owner else getattr(_core, name)
    assert inspect.getdoc(documented)


@pytest.mark.parametrize("name", ["Trainer", "Gradients", "PendingLoss", "Evaluation"])
def test_classes_are_documented(name):
    assert len(inspect.getdoc(getattr(mpsmnist, name)) or "") > 20
