"""Without the packages that they are for, these modules say what to install."""

from __future__ import annotations

import pytest

import mpsmnist
from support.programs import run_program


@pytest.mark.parametrize(
    ("module", "absent"), [("torch", "torch"), ("onnx", "onnx"), ("onnx", "onnxruntime")]
)
def test_an_extra_that_is_missing_is_named(module: str, absent: str) -> None:
    script = (
        f"import sys; sys.modules[{absent!r}] = None\n"
        f"import mpsmnist\ntry: import mpsmnist.interop.{module}\n"
        "except ImportError as error: print(error)\n"
        f"try: mpsmnist.interop.{module}\n"
        "except AttributeError as error: print(error)\n"
    )
    lines = run_program(script).splitlines()
    assert len(lines) == 2
    assert all(line.endswith(f": pip install 'mpsmnist[{module}]'") for line in lines)


def test_other_names_are_not_there() -> None:
    assert {"onnx", "torch"} <= set(dir(mpsmnist.interop))
    with pytest.raises(AttributeError, match=r"^module 'mpsmnist\.interop' has no attribute 'keras'$"):
        _ = mpsmnist.interop.keras


def test_they_are_there_once_they_are_used() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    script = "import mpsmnist; print(mpsmnist.interop.torch.to_module.__module__)"
    assert run_program(script) == "mpsmnist.interop.torch\n"


def test_nothing_else_imports_them() -> None:
    script = (
        "import sys, mpsmnist.checkpoint, mpsmnist.train, mpsmnist.predict, mpsmnist.interop\n"
        "print({'torch', 'onnx', 'onnxruntime', 'jax', 'mlx'} & set(sys.modules))\n"
    )
    assert run_program(script) == "set()\n"
