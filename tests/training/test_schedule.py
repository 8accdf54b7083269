"""Learning rates and evaluation points as pure functions of the step."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mpsmnist.training.schedule import (
    END,
    SCHEDULES,
    START,
    WARM_UP,
    Schedule,
    learning_rates,
    plan_evaluations,
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


def plan(schedule: Schedule = "constant", **options: Any) -> list[int]:
    return list(plan_evaluations(schedule, **{"every": None, "has_target": False} | options))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_evaluation_at_the_end_only(schedule: Schedule) -> None:
    assert plan(schedule, total=300) == [300]


@pytest.mark.parametrize("has_target", [False, True])
def test_evaluation_every_so_many_steps_and_at_the_end(has_target: bool) -> None:
    assert plan("one-cycle", total=10, every=4, has_target=has_target) == [4, 8, 10]
    assert plan(total=8, every=4, has_target=has_target) == [4, 8]
    assert plan(total=3, every=4, has_target=has_target) == [3]


def test_each_epoch_is_evaluated() -> None:
    """An epoch of 25 steps and a half ends with the step that completes it."""
    epoch = Fraction(51, 2)
    assert plan(total=102, epoch=epoch) == [26, 51, 77, 102]
    assert plan(total=64, epoch=epoch) == [26, 51, 64]  # two epochs and a half
    assert plan(total=13, epoch=epoch) == [13]  # half an epoch
    assert plan(total=3, epoch=Fraction(2, 5)) == [1, 2, 3]  # batches of several epochs


@pytest.mark.parametrize(("epochs", "apart"), [(10, 1), (11, 2), (20, 2), (21, 3), (30, 3), (100, 10)])
@pytest.mark.parametrize("curves", [False, True])
def test_about_ten_of_many_epochs_are_evaluated(epochs: int, apart: int, curves: bool) -> None:
    epoch = Fraction(11, 3)
    total = math.ceil(epochs * epoch)
    ends = [math.ceil(n * epoch) for n in range(1, epochs + 1)]
    evaluated = plan(total=total, epoch=epoch, curves=curves)
    assert evaluated == sorted({*ends[apart - 1 :: apart], total})
    assert set(ends) <= set(plan(total=total, epoch=epoch, every=3, curves=curves))
    evaluations = plan_evaluations("constant", total, None, epoch=epoch, has_target=False)
    assert all(evaluations.ends_epoch(step) for step in evaluated)


def test_intervals_are_counted_from_the_beginning_of_the_epoch() -> None:
    epoch = Fraction(51, 2)
    assert plan(total=77, epoch=epoch, every=10) == [10, 20, 26, 36, 46, 51, 61, 71, 77]
    assert plan(total=77, epoch=epoch, every=40) == [26, 51, 77]


def test_the_ends_of_epochs_are_told() -> None:
    evaluations = plan_evaluations("constant", 64, 10, epoch=Fraction(51, 2), has_target=False)
    assert [step for step in range(70) if evaluations.ends_epoch(step)] == [26, 51, 64]
    uncounted = plan_evaluations("constant", 64, 10, has_target=False)
    assert not any(uncounted.ends_epoch(step) for step in range(70))


@pytest.mark.parametrize("epoch", [None, Fraction(51, 2), Fraction(1, 3)])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_plan_holds_its_own_steps(schedule: Schedule, epoch: Fraction | None) -> None:
    evaluations = plan_evaluations(schedule, 61, None, epoch=epoch, has_target=True)
    steps = list(evaluations)
    assert [step for step in range(-1, 70) if step in evaluations] == steps == sorted(set(steps))
    for step in range(61):
        assert evaluations.next_after(step) == next(later for later in steps if later > step)


def test_a_very_long_run_may_have_every_step_evaluated() -> None:
    evaluations = plan_evaluations("constant", 2**31 - 1, 1, has_target=True)
    assert (evaluations.next_after(0), evaluations.next_after(2**31 - 2)) == (1, 2**31 - 1)


def test_a_target_is_looked_for_evenly_at_a_constant_rate() -> None:
    assert plan(total=300, has_target=True) == list(range(30, 301, 30))
    assert plan(total=104, epoch=Fraction(26), has_target=True) == [
        end + part for end in range(0, 104, 26) for part in (9, 18, 26)
    ]


def test_a_target_is_looked_for_ever_more_often_at_the_end_of_one_cycle() -> None:
    steps = plan("one-cycle", total=1000, has_target=True)
    gaps = np.diff(steps[:-1])
    assert len(steps) == 10
    assert steps[0] == 500
    assert steps[-1] == 1000
    assert (np.diff(gaps) < 0).all()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("total", [1, 2, 5])
def test_evaluation_of_a_very_short_run(schedule: Schedule, total: int) -> None:
    steps = plan(schedule, total=total, has_target=True)
    assert steps == sorted(set(steps))
    assert steps[0] >= 1
    assert steps[-1] == total


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("total", "epoch", "count"),
    [(300, None, 10), (3, None, 3), (1407, 469, 12), (469, 469, 10), (9380, 938, 10)],
)
def test_curves_get_about_ten_evaluations(
    schedule: Schedule, total: int, epoch: int | None, count: int
) -> None:
    fraction = None if epoch is None else Fraction(epoch)
    steps = plan(schedule, total=total, epoch=fraction, curves=True)
    assert len(steps) == count
    assert steps[-1] == total


def test_curves_change_nothing_where_options_say_how_often() -> None:
    for options in ({"every": 7}, {"has_target": True}):
        assert plan("one-cycle", total=50, curves=True, **options) == plan("one-cycle", total=50, **options)
