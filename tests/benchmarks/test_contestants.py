"""The contestants: found by their files, chosen by the beginnings of their names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import contestants
from contestants import base, select
from contestants.numpy import NumpyFloor
from harness import environment, workload
from support import reference


def test_every_framework_has_its_pip_command_and_its_versions() -> None:
    entries = contestants.contestants()
    assert {entry.imports.partition(".")[0] for entry in entries} == {
        "mpsmnist",
        "torch",
        "jax",
        "mlx",
        "tinygrad",
        "numpy",
    }
    assert all(entry.install.startswith("pip install ") for entry in entries)
    assert all(entry.imports.partition(".")[0] in entry.distributions for entry in entries)
    assert len({entry.name for entry in entries}) == len(entries)


def test_nothing_but_its_file_is_needed_for_a_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base.py").write_text("")
    (tmp_path / "fast.py").write_text(
        "import no_such_framework\n"
        'PEER = {"imports": "no_such_framework", "install": "pip install fast", "forms": {\n'
        '    "fast-cpu": {"device": "cpu", "class_name": "Fast"},\n'
        '    "fast-mps": {"device": "mps", "class_name": "FastMps", "install": "pip install fast-mps"}}}\n'
    )
    monkeypatch.setattr(contestants, "__file__", str(tmp_path / "__init__.py"))
    cpu, mps = select(["fast"], "all")
    assert cpu == contestants.Entry(
        "fast-cpu", "cpu", "fast", "Fast", "no_such_framework", "pip install fast"
    )
    assert cpu.is_peer
    assert not cpu.installed
    assert (mps.class_name, mps.install, mps.operations) == ("FastMps", "pip install fast-mps", ("step",))


def test_no_framework_is_imported_to_find_the_contestants() -> None:
    script = "import sys, contestants; contestants.contestants(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        cwd=environment.BENCHMARKS,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert "contestants" in loaded
    assert not {"numpy", "torch", "jax", "mlx", "tinygrad", "mpsmnist"} & set(loaded)


def test_peers_are_chosen_by_the_beginning_of_their_names() -> None:
    names = [entry.name for entry in select(["torch", "jax-cpu"], "cpu")]
    assert names == [
        "mpsmnist-cpu",
        "jax-cpu",
        "torch-eager-cpu",
        "torch-channels-last-cpu",
        "torch-compile-cpu",
        "torch-flush-denormals-cpu",
    ]
    assert [entry.name for entry in select([], "cpu")] == ["mpsmnist-cpu"]
    with pytest.raises(ValueError, match="'torhc'"):
        select(["torhc"], "all")


def test_some_run_only_when_they_are_named() -> None:
    everybody = [entry.name for entry in select(None, "all")]
    assert "numpy-cpu" in everybody
    assert not {"planted-wrong-cpu", "mpsmnist-gradients-cpu"} & set(everybody)
    assert [entry.name for entry in select(["mpsmnist-gradients", "planted"], "cpu")] == [
        "mpsmnist-cpu",
        "mpsmnist-gradients-cpu",
        "planted-wrong-cpu",
    ]


def test_another_interpreter_runs_ours_once_more() -> None:
    entries = select(["numpy"], "cpu", pythons={"before": "/a/python"})
    assert [(entry.name, entry.python) for entry in entries] == [
        ("mpsmnist-cpu", None),
        ("mpsmnist-cpu@before", "/a/python"),
        ("numpy-cpu", None),
    ]
    assert not entries[1].is_peer


def test_only_contestants_that_predict_are_compared_in_it() -> None:
    for operation in ("predict", "evaluate"):
        names = [entry.name for entry in select(None, "cpu", operation)]
        assert names == [
            "mpsmnist-cpu",
            "numpy-cpu",
            "torch-eager-cpu",
            "torch-channels-last-cpu",
            "torch-compile-cpu",
        ]
    with pytest.raises(ValueError, match=r"'jax'.*to predict"):
        select(["jax"], "all", "predict")


def test_runs_are_contestants_of_their_own_command() -> None:
    assert [entry.name for entry in select(None, "cpu", "train")] == ["mpsmnist", "torch"]


def test_contestants_get_their_threads_and_no_code_compiled_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    (tinygrad,) = [entry for entry in contestants.contestants() if entry.name == "tinygrad-cpu"]
    environ = environment.contestant_environment(3, tinygrad.thread_variables)
    assert {environ[name] for name in (*environment.THREAD_VARIABLES, "NUM_CPU_THREADS")} == {"3"}
    assert environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] == "1"


def test_peers_predict_many_images_in_chunks(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = workload.read_dataset("mnist", digits)
    weights = reference.initial_parameters()
    job = base.Job(dataset.test_images, dataset.test_labels, weights, learning_rate=0.1, threads=1)
    network = NumpyFloor(job)
    batch = network.prepare(np.arange(40))
    at_once, evaluation = network.predict(batch), network.evaluate(batch)
    seen: list[int] = []
    logits = network.logits

    def recorded(images: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(len(images))
        return logits(images)

    monkeypatch.setattr("contestants.numpy.INFERENCE_CHUNK", 16)
    monkeypatch.setattr(network, "logits", recorded)
    np.testing.assert_allclose(network.predict(batch), at_once, atol=workload.TOLERANCE)
    assert network.evaluate(batch) == pytest.approx(evaluation, rel=workload.TOLERANCE)
    assert seen == [16, 16, 8] * 2
