"""The benchmark harness: it checks before it times, and names who is wrong and who is missing."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import examples

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))
import batch_sizes  # noqa: E402
import contestants  # noqa: E402
import environment  # noqa: E402
import estimates  # noqa: E402
import harness  # noqa: E402
import latency as latency_script  # noqa: E402
import workload  # noqa: E402

SECONDS = {"import_seconds", "build_seconds", "first_step_seconds"}
PROTOCOL = harness.Protocol(
    threads=1, rounds=2, steps=3, turn_seconds=0.1, warm_up_steps=1, warm_up_seconds=0.1
)

SMALLEST = ["--rounds", "2", "--steps", "3", "--turn-seconds", "0.2"]
SMALLEST += ["--device", "cpu", "--peers", "numpy,planted-wrong"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small data set in MNIST's files."""
    folder = tmp_path_factory.mktemp("digits")
    for part, seed in (("train", 1), ("t10k", 2)):
        images, labels = examples.discs(40, seed=seed)
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels.astype(np.uint8))
    return folder


@pytest.fixture
def work(digits: Path, tmp_path: Path) -> workload.Workload:
    """Batches of two from it."""
    return workload.make(workload.read_dataset("mnist", digits), "step", 2, tmp_path / "work")


def write_idx(path: Path, array: np.ndarray[Any, Any]) -> None:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}i", *array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture(scope="module")
def latency(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, int]:
    """The JSON, the text and the exit status of the smallest run that has everything in it."""
    return run_script("latency.py", [*SMALLEST, "--batch-sizes", "2"], digits, tmp_path_factory)


@pytest.fixture(scope="module", params=["predict", "evaluate"])
def calls(
    request: pytest.FixtureRequest, digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any], str, int]:
    """An operation, and what such a run of it gave. It is given more images than there are."""
    options = [*SMALLEST, "--batch-sizes", "50", "--operation", request.param]
    return request.param, *run_script("latency.py", options, digits, tmp_path_factory)


def run_script(
    name: str, options: list[str], digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], str, int]:
    """The JSON, the text and the exit status of a benchmark. It must draw its picture and warn of nothing."""
    path = tmp_path_factory.mktemp("results") / "result.json"
    data = ["--dataset", "mnist", "--data-dir", str(digits), "--threads", "1"]
    outputs = ["--json", str(path), "--plot", str(path.with_suffix(".png"))]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *options, *data, *outputs],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    assert path.exists(), done.stderr
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    return json.loads(path.read_text()), done.stdout, done.returncode


def by_name(result: dict[str, Any]) -> dict[str, Any]:
    return {report["name"]: report for report in result["batches"][0]["contestants"]}


def test_json_has_the_environment_and_the_protocol(latency: tuple[dict[str, Any], str, int]) -> None:
    result, _, _ = latency
    assert (result["schema"], result["kind"]) == (2, "latency")
    environment = result["environment"]
    assert {"date", "commit", "cpu", "usable_cpus", "threads", "os", "python", "versions"} <= set(environment)
    assert environment["threads"] == 1
    assert {"numpy", "mpsmnist"} <= set(environment["versions"])
    assert result["protocol"]["rounds"] == 2
    assert result["workload"]["operation"] == "step"
    assert result["workload"]["dataset"] == "mnist"
    assert result["batches"][0]["tolerance"] == workload.TOLERANCE
    assert len(result["batches"][0]["oracle_answers"]) == workload.CHECKED_STEPS


def test_contestants_that_are_right_are_timed(latency: tuple[dict[str, Any], str, int]) -> None:
    result, text, _ = latency
    for name, modes in (("mpsmnist-cpu", ["step_async", "run"]), ("numpy-cpu", ["loop"])):
        report = by_name(result)[name]
        assert report["status"] == "timed"
        assert all(report[key] >= 0 for key in SECONDS)
        assert [len(times) for times in report["sync"]] == [3, 3]
        assert list(report["throughput"]) == modes
        assert all(len(rounds) == 2 for rounds in report["throughput"].values())
        assert max(report["worst_errors"].values()) <= workload.TOLERANCE
        assert len(report["preparation"]) == 2
        assert len(report["idle_cpu"]) == 2 * (1 + len(modes))
        assert f"| {name} " in text


def test_ratios_are_to_the_fastest_peer(latency: tuple[dict[str, Any], str, int]) -> None:
    batch = latency[0]["batches"][0]
    assert batch["sync"]["numpy-cpu"]["ratio"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    ratio = batch["sync"]["mpsmnist-cpu"]["ratio"]
    assert 0 < ratio["low"] <= ratio["value"] <= ratio["high"]
    assert set(batch["throughput"]) == {"mpsmnist-cpu step_async", "mpsmnist-cpu run", "numpy-cpu loop"}


def test_a_wrong_gradient_is_refused_by_name(latency: tuple[dict[str, Any], str, int]) -> None:
    result, text, status = latency
    report = by_name(result)["planted-wrong-cpu"]
    assert report["status"] == "wrong"
    assert report["worst_errors"]["step"] > workload.TOLERANCE
    assert report["sync"] == []
    assert "planted-wrong-cpu" not in result["batches"][0]["sync"]
    assert "WRONG, not timed: planted-wrong-cpu" in text
    assert status == 1


def test_predictions_and_evaluations_are_timed_one_at_a_time(
    calls: tuple[str, dict[str, Any], str, int],
) -> None:
    operation, result, text, _ = calls
    assert result["workload"]["operation"] == operation
    batch = result["batches"][0]
    assert batch["throughput"] == {}
    for name in ("mpsmnist-cpu", "numpy-cpu"):
        report = by_name(result)[name]
        assert report["status"] == "timed"
        assert len(report["sync"]) == len(report["idle_cpu"]) == 2
        assert list(report["worst_errors"]) == [operation]
        assert report["worst_errors"][operation] <= batch["tolerance"]
        assert f"| {name} " in text
    assert batch["sync"]["numpy-cpu"]["ratio"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    ratio = batch["sync"]["mpsmnist-cpu"]["ratio"]
    assert 0 < ratio["low"] <= ratio["value"] <= ratio["high"]
    assert f"ms/{operation}" in text
    assert "Throughput" not in text


def test_wrong_predictions_and_evaluations_are_refused_by_name(
    calls: tuple[str, dict[str, Any], str, int],
) -> None:
    operation, result, text, status = calls
    report = by_name(result)["planted-wrong-cpu"]
    assert report["status"] == "wrong"
    assert report["worst_errors"][operation] > result["batches"][0]["tolerance"]
    assert report["sync"] == []
    assert "planted-wrong-cpu" not in result["batches"][0]["sync"]
    assert f"WRONG, not timed: planted-wrong-cpu: its first answers to {operation} are " in text
    assert status == 1


@pytest.mark.parametrize("operation", ["predict", "evaluate"])
def test_pytorch_gives_the_answers_in_both_layouts(operation: str, digits: Path, tmp_path: Path) -> None:
    entries = contestants.select(["torch-eager", "torch-channels-last"], "cpu", operation)
    if not all(entry.installed for entry in entries):
        pytest.skip("PyTorch is not installed")
    work = workload.make(workload.read_dataset("mnist", digits), operation, 3, tmp_path / "work")
    reports = harness.compare(entries, work, replace(PROTOCOL, rounds=1))
    assert [(report.name, report.status, report.reason) for report in reports] == [
        ("mpsmnist-cpu", "timed", ""),
        ("torch-eager-cpu", "timed", ""),
        ("torch-channels-last-cpu", "timed", ""),
    ]


def test_evaluations_go_through_the_test_images_in_order_and_again(digits: Path, tmp_path: Path) -> None:
    dataset = workload.read_dataset("mnist", digits)
    work = workload.make(dataset, "evaluate", 50, tmp_path / "work")
    assert np.load(work.folder / "batches.npy").tolist() == [[*range(40), *range(10)]]
    assert np.array_equal(np.load(work.folder / "images.npy"), dataset.test_images)
    assert np.array_equal(np.load(work.folder / "labels.npy"), dataset.test_labels)
    loss, accuracy = work.answers
    assert 0 < loss < 0.1  # it has learnt the discs
    assert accuracy == 1


def test_peers_predict_many_images_in_chunks(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contestants import base, numpy

    dataset = workload.read_dataset("mnist", digits)
    weights = workload.reference.initial_parameters()
    job = base.Job(dataset.test_images, dataset.test_labels, weights, learning_rate=0.1, threads=1)
    network = numpy.NumpyFloor(job)
    batch = network.prepare(np.arange(40))
    at_once, evaluation = network.predict(batch), network.evaluate(batch)
    seen: list[int] = []
    logits = network.logits
    monkeypatch.setattr(numpy, "INFERENCE_CHUNK", 16)
    monkeypatch.setattr(network, "logits", lambda images: seen.append(len(images)) or logits(images))
    np.testing.assert_allclose(network.predict(batch), at_once, atol=workload.TOLERANCE)
    assert network.evaluate(batch) == pytest.approx(evaluation, rel=workload.TOLERANCE)
    assert seen == [16, 16, 8] * 2


def test_missing_peers_are_listed_with_their_pip_command(work: workload.Workload) -> None:
    absent = contestants.Entry("absent-cpu", "cpu", "absent", "Absent", "no_such_framework", "pip install it")
    (report,) = harness.compare([absent], work, PROTOCOL)
    assert (report.status, report.reason) == ("missing", "pip install it")


def test_a_contestant_that_dies_is_reported_with_its_last_words(work: workload.Workload) -> None:
    broken = contestants.Entry("broken-cpu", "cpu", "numpy", "NoSuchClass", "numpy", "")
    (report,) = harness.compare([broken], work, PROTOCOL)
    assert report.status == "failed"
    assert "NoSuchClass" in report.reason


def test_a_slow_contestant_has_one_step_a_turn(work: workload.Workload) -> None:
    protocol = replace(PROTOCOL, turn_seconds=1e-9)
    for report in harness.compare(contestants.select(["numpy"], "cpu"), work, protocol):
        assert report.status == "timed", report.reason
        assert [len(times) for times in report.sync] == [1, 1]
        assert all([len(times) for times in rounds] == [1, 1] for rounds in report.throughput.values())


def test_a_contestant_is_stopped_while_it_waits_for_its_turn(
    work: workload.Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals: list[tuple[int, str]] = []
    send = subprocess.Popen.send_signal

    def record(process: subprocess.Popen[str], number: int) -> None:
        signals.append((process.pid, signal.Signals(number).name))
        send(process, number)

    monkeypatch.setattr(subprocess.Popen, "send_signal", record)
    reports = harness.compare(contestants.select(["numpy"], "cpu"), work, PROTOCOL)
    assert [report.status for report in reports] == ["timed", "timed"]
    stopped: set[int] = set()
    awake: list[int] = []
    for pid, name in signals:
        if name == "SIGSTOP":
            stopped.add(pid)
        else:
            stopped.discard(pid)
            awake.append(len({pid for pid, _ in signals} - stopped))
    both_checked = next(i for i, count in enumerate(awake) if count == 1)
    closing = 2  # at the end both are woken to leave
    assert set(awake[both_checked:-closing]) == {1}


def test_every_framework_has_its_pip_command() -> None:
    assert {entry.imports.partition(".")[0] for entry in contestants.CONTESTANTS} == {
        "mpsmnist",
        "torch",
        "jax",
        "mlx",
        "tinygrad",
        "numpy",
    }
    assert all(entry.install.startswith("pip install ") for entry in contestants.CONTESTANTS)


def test_peers_are_chosen_by_the_beginning_of_their_names() -> None:
    names = [entry.name for entry in contestants.select(["torch", "jax-cpu"], "cpu")]
    assert names == [
        "mpsmnist-cpu",
        "torch-eager-cpu",
        "torch-channels-last-cpu",
        "torch-compile-cpu",
        "jax-cpu",
    ]
    assert contestants.PLANTED not in contestants.select(None, "all")
    with pytest.raises(ValueError, match="'torhc'"):
        contestants.select(["torhc"], "all")


def test_only_contestants_that_predict_are_compared_in_it() -> None:
    for operation in ("predict", "evaluate"):
        names = [entry.name for entry in contestants.select(None, "cpu", operation)]
        assert names == [
            "mpsmnist-cpu",
            "torch-eager-cpu",
            "torch-channels-last-cpu",
            "torch-compile-cpu",
            "numpy-cpu",
        ]
    with pytest.raises(ValueError, match=r"'jax'.*to predict"):
        contestants.select(["jax"], "all", "predict")


@pytest.mark.parametrize(
    ("operation", "sizes"),
    [("step", [16, 64, 256]), ("predict", [16, 64, 256]), ("evaluate", [1000, 10000])],
)
def test_sizes_belong_to_the_operation(operation: str, sizes: list[int]) -> None:
    assert latency_script.parse(["--operation", operation]).batch_sizes == sizes
    assert latency_script.parse(["--operation", operation, "--batch-sizes", "7"]).batch_sizes == [7]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--operation", "train"], "argument --operation: invalid choice: 'train'"),
        (["--operation", "predict", "--peers", "jax"], "--peers has 'jax'"),
        (["--batch-sizes", "16", "0"], "argument --batch-sizes: is 0, expected a whole number above 0"),
        (["--rounds", "-1"], "argument --rounds: is -1, expected a whole number above 0"),
        (["--threads", "100000"], "argument --threads: is 100000, but only "),
    ],
)
def test_latency_refuses_bad_arguments(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        latency_script.parse(arguments)
    assert complaint in capsys.readouterr().err


def test_ratio_of_known_times() -> None:
    times = {"ours": [[1.0, 1.0, 9.0], [2.0]], "slow": [[8.0], [16.0]], "fast": [[4.0], [8.0]]}
    ratios = estimates.ratios_to_fastest(times, ["slow", "fast"])
    assert {name: ratio.value for name, ratio in ratios.items()} == {"ours": 4.0, "slow": 0.5, "fast": 1.0}
    # Both rounds say the same, so resampling rounds (the same ones for everybody) must not move the ratio.
    assert all(ratio.low == ratio.value == ratio.high for ratio in ratios.values())
    assert estimates.ratios_to_fastest(times, []) == {}


def test_the_worst_error_decides() -> None:
    losses = workload.Workload("step", 2, Path(), [2.0, 4.0])
    assert losses.worst_error([2.0, 4.4]) == pytest.approx(0.1)
    assert losses.worst_error([2.0, float("nan")]) == float("inf")
    assert losses.worst_error([2.0]) == float("inf")
    probabilities = workload.Workload("predict", 2, Path(), [0.5, 0.0])
    assert probabilities.worst_error([0.5, 0.1]) == pytest.approx(0.1)


def test_an_evaluation_without_the_last_bias_is_wrong_and_rounding_is_not() -> None:
    evaluation = workload.Workload("evaluate", 600, Path(), [0.3, 0.9])
    assert evaluation.worst_error([0.300006, 0.9]) > evaluation.tolerance
    assert evaluation.worst_error([0.3 + 1e-7, 0.9]) <= evaluation.tolerance
    one_image = workload.Workload("evaluate", 1, Path(), [0.3, 1.0])
    assert one_image.tolerance == workload.TOLERANCE


def test_contestants_get_their_threads_and_no_code_compiled_for_others(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    environ = environment.contestant_environment(3)
    assert {environ[name] for name in environment.THREAD_VARIABLES} == {"3"}
    assert environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] == "1"


@pytest.fixture(scope="module")
def sizes_run(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, int]:
    """The JSON, the text and the exit status of a run over three batch sizes."""
    options = ["--max-batch", "3", "--rounds", "2", "--images", "4"]
    return run_script("batch_sizes.py", options, digits, tmp_path_factory)


def test_every_batch_size_has_a_time_for_every_round(sizes_run: tuple[dict[str, Any], str, int]) -> None:
    result, text, status = sizes_run
    assert status == 0
    assert (result["schema"], result["kind"]) == (1, "batch sizes")
    assert result["environment"]["threads"] == 1
    assert (result["device"], result["rounds"], result["images"]) == ("cpu", 2, 4)
    assert [row["batch_size"] for row in result["sizes"]] == [1, 2, 3]
    for row in result["sizes"]:
        assert len(row["seconds"]) == 2
        assert 0 < row["low"] <= row["median"] <= row["high"]
        assert f"| {row['batch_size']}     | {row['median']:.1f}" in text
    assert "The largest rise from a size to the next: " in text


def test_batch_sizes_are_all_small_ones_and_those_around_powers_of_two() -> None:
    sizes = batch_sizes.sizes_up_to(4096)
    assert sizes == sorted(set(sizes))
    assert sizes[:41] == [*range(1, 41), 47]
    assert set(sizes) >= {2**k + offset for k in range(6, 12) for offset in (-1, 0, 1)} | {4095, 4096}
    assert sizes[-1] == 4096
    assert len([size for size in sizes if size % 2 == 1 and size > 65]) >= 10
    assert batch_sizes.sizes_up_to(65)[-3:] == [63, 64, 65]
    assert batch_sizes.sizes_up_to(1) == [1]


def test_neighbouring_sizes_are_visited_one_after_the_other_and_every_round_begins_elsewhere() -> None:
    sizes = list(range(1, 41))
    rounds = batch_sizes.orders(sizes, 5)
    assert rounds == batch_sizes.orders(sizes, 5)
    assert len({order[0] for order in rounds}) == 5
    for number, order in enumerate(rounds):
        assert sorted(order) == sizes
        steps = np.diff(order) % len(sizes)
        assert set(steps) == {1 if number % 2 == 0 else len(sizes) - 1}


def test_sizes_are_compared_within_rounds() -> None:
    # The second round ran on a machine half as fast, and the third saw size 4 alone disturbed.
    first, second = batch_sizes.summaries({4: [4e-6, 8e-6, 40e-6], 5: [10e-6, 20e-6, 10e-6]})
    assert (first["median"], first["low"], first["high"]) == pytest.approx((2, 1, 10))
    assert (second["median"], second["low"], second["high"]) == pytest.approx((2, 2, 4))
    assert first["times_the_size_before"] is None
    assert second["times_the_size_before"] == pytest.approx(2)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--max-batch", "0"], "argument --max-batch: is 0, expected a whole number above 0"),
        (["--rounds", "0"], "argument --rounds: is 0, expected a whole number above 0"),
        (["--images", "-3"], "argument --images: is -3, expected a whole number above 0"),
        (["--threads", "100000"], "argument --threads: is 100000, but only "),
        (["--rounds", "many"], "argument --rounds: invalid positive value: 'many'"),
        (["--device", "gpu"], "argument --device: invalid choice: 'gpu'"),
    ],
)
def test_batch_sizes_refuses_bad_arguments(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        batch_sizes.parse(arguments)
    assert complaint in capsys.readouterr().err
