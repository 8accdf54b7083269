"""The host implementation of tests/objc_host catches what Apple's frameworks forbid or leave undefined.

Needs a build with -DMPSMNIST_OBJC_HOST=ON -DMPSMNIST_BUILD_TESTS=ON: MPSMNIST_OBJC_HOST_BUILD is its folder.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

READ_EARLY = r"read before completion: a command buffer in flight writes buffer \d+ of 24 bytes"
WRITTEN_EARLY = r"written before completion: a command buffer in flight reads buffer \d+ of 24 bytes"

# Each mistake that mistakes.mm makes, and the line with which the host aborts.
MESSAGES = {
    "array-of-2^32-bytes": r"'huge' \(32768, 32768\): an array of 4294967296 bytes",
    "another-graph": "MPSGraph: a tensor belongs to another graph",
    "buffer-too-small": r"MPSGraphTensorData: buffer too small: 4 bytes for shape \(2, 3\)",
    "commit-twice": "commit: the command buffer is already committed",
    "convolution-of-65536": "'convolution': a convolution of 65536 images",
    "data-type": "MPSGraphTensorData: only MPSDataTypeFloat32 is implemented",
    "fast-math-absent": "MPSGraphCompilationDescriptor: this system has no reducedPrecisionFastMath",
    "feed-order": r"encode: feed 0 of shape \(1\), expected \(2, 3\)",
    "feed-shape": r"compile: feed 'x' \(2, 3\) given as \(3, 2\)",
    "graph-gone": "encode: the executable's MPSGraph is gone",
    "handler-after-commit": "addCompletedHandler: the command buffer is committed",
    "inner-dimension": "'xw': a product whose inner dimension is 32767",
    "inner-dimension-of-a-gradient": "'xw/gradient': a product whose inner dimension is 32767",
    "product-of-2^31-bytes": "'xw': a product of 2147680248 bytes",
    "missing-feed": r"missing feed: placeholder 'w' \(2, 3\)",
    "optimization-level": "compile: optimizationLevel is not Level0",
    "read-before-completion": READ_EARLY,
    "read-through-kept-pointer": READ_EARLY,
    "result-aliases-feed": r"encode: result \d aliases feed \d",
    "result-aliases-result": "encode: result 1 aliases another result",
    "result-in-flight": r"result buffer \d+ of 24 bytes is already a result of a command buffer in flight",
    "result-missing": "encode: 1 results given, 2 expected",
    "results-nil": "encode: the array of results is nil",
    "target-of-kept-rank": r"encode: result 0 of shape \(1\), expected \(1, 1\)",
    "target-of-unknown-shape": r"compile: the shape of target 'product/gradient' \(2, 3\) is not known",
    "two-queues": r"buffer \d+ of 24 bytes is used by command buffers in flight of two queues",
    "unknown-mode": "mode: 'ties=third' is not known",
    "unknown-op": "MPSGraph: unknown op tanhWithTensor:name:",
    "wait-before-commit": "waitUntilCompleted: the command buffer is not committed",
    "write-a-feed-in-flight": WRITTEN_EARLY,
    "write-past-the-end": r"buffer \d+ of 24 bytes was written past its end",
    "wrong-shape": r"'xw': matrices \(m, k\) and \(k, n\) expected, not 'x' \(2, 3\) and 'w' \(2, 3\)",
}
# These end as if nothing had happened: the numbers tell.
COMPLETING = {"none", "forgotten-update"}


@pytest.fixture(scope="session")
def program() -> Path:
    build = os.environ.get("MPSMNIST_OBJC_HOST_BUILD")
    if build is None:
        pytest.skip("MPSMNIST_OBJC_HOST_BUILD does not name a build with -DMPSMNIST_OBJC_HOST=ON")
    path = Path(build) / "tests" / "objc_host" / "mpsmnist_objc_host_mistakes"
    assert path.is_file(), f"{path} is missing: build with -DMPSMNIST_BUILD_TESTS=ON"
    return path


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_every_mistake_is_listed(program: Path) -> None:
    assert set(run(program).stdout.split()) == MESSAGES.keys() | COMPLETING


@pytest.mark.parametrize("mistake", sorted(MESSAGES))
def test_a_mistake_aborts_with_its_message(program: Path, mistake: str) -> None:
    result = run(program, mistake)
    assert result.returncode == -signal.SIGABRT
    assert re.search(f"^objc_host: {MESSAGES[mistake]}$", result.stderr, re.MULTILINE), result.stderr


def test_right_use_computes(program: Path) -> None:
    """0.5 * 0.5, and 0.5 - 0.25 * 0.5, in the places that feedTensors and targetTensors name."""
    result = run(program, "none")
    assert (result.returncode, result.stdout) == (0, "product 0.250000 updated 0.375000\n"), result.stderr


def test_a_forgotten_update_becomes_nan(program: Path) -> None:
    """New buffers hold NaNs, so a weight that no step has written cannot pass for an updated one."""
    result = run(program, "forgotten-update")
    assert result.returncode == 0, result.stderr
    assert "nan" in result.stdout
