"""Python without the GIL: the module leaves it off, and a call reads what another thread cannot change."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig

import numpy as np
import pytest

from support import checks


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this build of Python has the GIL"
)
def test_importing_the_module_leaves_the_gil_off():
    code = "import sys, mpsmnist; mpsmnist.Trainer(device='cpu'); sys.exit(sys._is_gil_enabled())"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60, env=environment)


class Shrinking:
    """An array-like that empties the dict that holds it when it is read, as another thread could."""

    def __init__(self, values, owner):
        self.values, self.owner = values, owner

    def __array__(self, dtype=None, copy=None):
        self.owner.clear()
        return np.array(self.values, dtype=dtype)


@pytest.mark.parametrize("method", ["load_state_dict", "apply_gradients"])
def test_a_mapping_is_read_as_it_was_when_the_call_began(make_trainer, method):
    source, expected, trainer = make_trainer(seed=1), make_trainer(seed=2), make_trainer(seed=2)
    state = source.state_dict()
    getattr(expected, method)(state)
    shrinking: dict[str, object] = dict(state)
    shrinking["conv0.weight"] = Shrinking(state["conv0.weight"], shrinking)
    getattr(trainer, method)(shrinking)
    assert shrinking == {}
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))
