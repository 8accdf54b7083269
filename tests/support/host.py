"""The controls of tests/objc_host, for tests of a build whose device mps is that host implementation."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

import mpsmnist

# From host_control.h.
DEVICE, QUEUE, BUFFER, COMMAND_BUFFER, TENSOR_DATA, DESCRIPTOR, COMPILE, ALL_DEVICES = range(8)
FAMILY, CONTENTS, OPERATION, ENCODE, NEXT_ROOT, ADD_HANDLER, COMMIT, STATUS, COMMITTED = range(8, 17)
COMMITS, BUFFERS_ALLOCATED, COMPILED, LIVE_OBJECTS, IN_FLIGHT, OPERATIONS, NAN_FEEDS = 0, 2, 3, 5, 6, 9, 10
GPU_APPLE, GPU_PARAVIRTUAL, GPU_INTEL, GPU_DISCRETE = range(4)
ALWAYS = 2**64 - 1


def _library() -> ctypes.CDLL | None:
    path = Path(mpsmnist.__file__).parent / "libmpsmnist.so"
    library = ctypes.CDLL(str(path)) if path.is_file() else None
    return library if hasattr(library, "objc_host_reset") else None


def is_there() -> bool:
    """Whether the package was built with the host."""
    return _library() is not None


def load() -> ctypes.CDLL:
    """The controls of the host that the package was built with; skips the module if there are none."""
    library = _library()
    if library is None:
        pytest.skip(
            "this needs a build with -DMPSMNIST_OBJC_HOST=ON: no GPU fails, or counts, on demand",
            allow_module_level=True,
        )
    library.objc_host_mode.restype = ctypes.c_char_p
    library.objc_host_count.restype = ctypes.c_int64
    library.objc_host_fail_commit.argtypes = [ctypes.c_uint64, ctypes.c_char_p]
    library.objc_host_return_nil.argtypes = [ctypes.c_int, ctypes.c_uint64, ctypes.c_uint64]
    library.objc_host_throw.argtypes = [ctypes.c_int, ctypes.c_uint64, ctypes.c_char_p, ctypes.c_char_p]
    library.objc_host_set_delays.argtypes = [ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint32]
    return library


def set_gpus(library: ctypes.CDLL, *kinds: int, default: bool = True) -> None:
    """The GPUs of the machine; the first is the default one, unless there is none, as under ssh."""
    library.objc_host_set_gpus((ctypes.c_int * len(kinds))(*kinds), len(kinds), int(default))


def mode(name: str) -> str:
    """The word that the host goes by for `name`, one of the choices of MPSMNIST_OBJC_HOST_MODE."""
    word: bytes = load().objc_host_mode(name.encode())
    return word.decode()
