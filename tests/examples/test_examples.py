"""The examples run as they are, on little data."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mpsmnist.checkpoint import load_weights
from support import ranks
from support.datasets import write_mnist

EXAMPLES = Path(__file__).parents[2] / "examples"
PRINTED = {
    "own_loop": r"(step \d+: loss \d\.\d+\n){4}test accuracy \d+\.\d%\n",
    "torch_dataloader": r"test accuracy \d+\.\d%\n",
    "weights_to_torch": r"here: test accuracy \d+\.\d%\nand back: test accuracy \d+\.\d%\n",
    "mpi": r"2 ranks: test accuracy \d+\.\d%\n",
    "torch_distributed": r"2 ranks: test accuracy \d+\.\d%\n",
    "sweep": r"(ThreadPoolExecutor: learning rate .*%\n){4}(ProcessPoolExecutor: learning rate .*%\n){4}",
}
# How those are started that are several processes.
LAUNCHERS = {
    "mpi": (str(ranks.MPIRUN), "-n", "2", sys.executable, "-m", "mpi4py"),
    "torch_distributed": (
        sys.executable,
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
    ),
}


def test_each_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == PRINTED.keys()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=ranks.needs_mpi if name == "mpi" else ()) for name in PRINTED]
)
def test_an_example_prints_what_it_says(name: str, tmp_path: Path) -> None:
    script = EXAMPLES / f"{name}.py"
    if "torch" in name:
        pytest.importorskip("torch", reason="PyTorch is not installed")
    environment = os.environ | ranks.PERMISSIONS | {"MPSMNIST_DATA_DIR": str(write_mnist(tmp_path))}
    environment.setdefault("OMP_NUM_THREADS", "1")  # which torchrun would set, with a warning
    line = [*LAUNCHERS.get(name, (sys.executable,)), script]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(PRINTED[name], done.stdout), done.stdout
    if name == "own_loop":
        assert load_weights(tmp_path / "mine.safetensors").step == 200
