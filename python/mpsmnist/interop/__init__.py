"""The network in other frameworks: mpsmnist.interop.torch and mpsmnist.interop.onnx, each an extra."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import onnx as onnx
    from . import torch as torch

__all__: list[str] = []

# Imported when they are first used: each imports a framework.
_MODULES = frozenset({"onnx", "torch"})


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        try:
            return importlib.import_module(f".{name}", __name__)
        except ImportError as error:  # without the extra: help() and hasattr() take no other
            raise AttributeError(str(error)) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(globals().keys() | _MODULES)
