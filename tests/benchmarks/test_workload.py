"""What contestants are given, and how their answers are judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness import workload


def test_evaluations_go_through_the_test_images_in_order_and_again(digits: Path, tmp_path: Path) -> None:
    dataset = workload.read_dataset("mnist", digits)
    work = workload.make(dataset, "evaluate", 50, tmp_path / "work")
    assert np.load(work.folder / "batches.npy").tolist() == [[*range(40), *range(10)]]
    assert np.array_equal(np.load(work.folder / "images.npy"), dataset.test_images)
    assert np.array_equal(np.load(work.folder / "labels.npy"), dataset.test_labels)
    loss, accuracy = work.answers
    assert 0 < loss < 0.1  # it has learnt the discs
    assert accuracy == 1


def test_losses_of_steps_follow_the_momentum_asked_for(digits: Path, tmp_path: Path) -> None:
    dataset = workload.read_dataset("mnist", digits)
    plain = workload.make(dataset, "step", 2, tmp_path / "plain", batch_count=7)
    heavy = workload.make(dataset, "step", 2, tmp_path / "heavy", batch_count=7, momentum=0.9)
    assert np.load(heavy.folder / "batches.npy").shape == (7, 2)
    assert heavy.answers[:2] == plain.answers[:2]  # the first update has nothing to remember
    assert heavy.worst_error(plain.answers) > heavy.tolerance


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
