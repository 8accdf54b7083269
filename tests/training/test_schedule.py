"""Learning rates and evaluation points as pure functions of the step."""

from __future__ import annotations

import numpy as np
import pytest

from mpsmnist.training.schedule import (
    END,
    SCHEDULES,
    START,
    WARM_UP,
    Schedule,
    evaluation_steps,
    learning_rates,
)


def one_cycle(total: int, peak: float = 1.0) -> list[float]:
    return [float(rate) for rate in learning_rates("one-cycle", peak, first=0, count=total, total=total)]


def test_constant() -> None:
    rates = learning_rates("constant", 0.01, first=7, count=3, total=300)
    assert rates.dtype == np.float32
    assert rates.tolist() == [np.float32(0.01)] * 3


def test_one_cycle_rises_to_the_peak_and_falls_to_nearly_nothing() -> None:
    total = 1000
    rates = np.array(one_cycle(total, peak=0.05))
    top = int(rates.argmax())
    assert abs(top - WARM_UP * total) <= 1
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert rates[top] == pytest.approx(0.05, rel=2 / total)
    assert rates[0] == pytest.approx(0.05 * START, rel=0.1)
    assert 0.05 * END < rates[-1] < 0.05 * (END + 1 / total)


def test_one_cycle_is_straight_on_both_sides() -> None:
    """Step k is at (k + 1/2) / total of the run; four points, worked out from the shape's definition."""
    rates = one_cycle(100)
    for step in (0, 11, 50, 99):
        progress = (step + 0.5) / 100
        if progress < WARM_UP:
            expected = START + (1 - START) * progress / WARM_UP
        else:
            expected = 1 - (1 - END) * (progress - WARM_UP) / (1 - WARM_UP)
        assert rates[step] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_part_is_a_slice_of_the_whole(schedule: Schedule) -> None:
    whole = learning_rates(schedule, 0.1, first=0, count=97, total=97)
    for first, count in ((0, 1), (13, 40), (96, 1)):
        part = learning_rates(schedule, 0.1, first=first, count=count, total=97)
        np.testing.assert_array_equal(part, whole[first : first + count])


@pytest.mark.parametrize("total", [1, 2, 3])
def test_one_cycle_of_a_very_short_run_is_positive(total: int) -> None:
    assert all(0 < rate <= 1 for rate in one_cycle(total))


def test_evaluation_at_the_end_only() -> None:
    assert evaluation_steps("constant", 300, None, has_target=False) == [300]
    assert evaluation_steps("one-cycle", 300, None, has_target=False) == [300]


@pytest.mark.parametrize("has_target", [False, True])
def test_evaluation_every_so_many_steps_and_at_the_end(has_target: bool) -> None:
    assert evaluation_steps("one-cycle", 10, 4, has_target=has_target) == [4, 8, 10]
    assert evaluation_steps("constant", 8, 4, has_target=has_target) == [4, 8]
    assert evaluation_steps("constant", 3, 4, has_target=has_target) == [3]


def test_a_target_is_looked_for_evenly_at_a_constant_rate() -> None:
    assert evaluation_steps("constant", 300, None, has_target=True) == list(range(30, 301, 30))


def test_a_target_is_looked_for_ever_more_often_at_the_end_of_one_cycle() -> None:
    steps = evaluation_steps("one-cycle", 1000, None, has_target=True)
    gaps = np.diff(steps[:-1])
    assert len(steps) == 10
    assert steps[0] == 500
    assert steps[-1] == 1000
    assert (np.diff(gaps) < 0).all()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("total", [1, 2, 5])
def test_evaluation_of_a_very_short_run(schedule: Schedule, total: int) -> None:
    steps = evaluation_steps(schedule, total, None, has_target=True)
    assert steps == sorted(set(steps))
    assert steps[0] >= 1
    assert steps[-1] == total
