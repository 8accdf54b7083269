"""Without the packages that they are for, these modules say what to install."""

from __future__ import annotations

import pytest

from support.programs import run_program


@pytest.mark.parametrize(
    ("module", "absent"), [("torch", "torch"), ("onnx", "onnx"), ("onnx", "onnxruntime")]
)
def test_an_extra_that_is_missing_is_named(module: str, absent: str) -> None:
    script = (
        f"import sys; sys.modules[{absent!r}] = None\n"
        f"try: import mpsmnist.interop.{module}\n"
        "except ImportError as error: print(error)\n"
    )
    assert run_program(script).rstrip().endswith(f": pip install 'mpsmnist[{module}]'")


def test_nothing_else_imports_them() -> None:
    script = (
        "import sys, mpsmnist.checkpoint, mpsmnist.train, mpsmnist.predict, mpsmnist.interop\n"
        "print({'torch', 'onnx', 'onnxruntime', 'jax', 'mlx'} & set(sys.modules))\n"
    )
    assert run_program(script) == "set()\n"
