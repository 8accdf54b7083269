"""step(all_gather=...): the gradient of fc0.weight by its factors, among threads as processes."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import mpsmnist
from support import checks, examples
from support.rank_threads import Part, assert_alone_is_as_usual, assert_several_are_one, ignore

INPUTS, OUTPUTS = 3136, 1024
COLUMNS = INPUTS + OUTPUTS


def same(rows: Part) -> Part:
    """What gathers the rows of one process."""
    return rows


def make_cpu(**options: Any) -> mpsmnist.Trainer:
    return mpsmnist.Trainer(device="cpu", init="he", **options)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("threads", [1, 3])
def test_alone_it_has_the_bits_of_gradients_and_their_update(momentum, threads):
    """More images than the kernels take at a time, which is 32."""
    trainer, usual = (make_cpu(momentum=momentum, threads=count) for count in (threads, 2))
    assert_alone_is_as_usual(trainer, usual, images=37, all_gather=same, global_batch_size=37)


@pytest.mark.parametrize("shards", [(3, 3), (2, 4), (1, 2, 3)])
def test_several_are_one_with_all_the_images(make_trainer, shards):
    """On a device without factors, too, where all_gather is left out."""
    assert_several_are_one(
        make_trainer,
        shards,
        lambda threads, rank: {
            "all_reduce": threads.all_reduce(rank),
            "all_gather": threads.all_gather(rank),
        },
    )


def test_rows_are_the_inputs_of_fc0_and_the_gradients_of_its_outputs():
    """The gradient is a sum of 5 products: each rounding is at most epsilon / 2 of all terms."""
    trainer = make_cpu()
    batch = examples.discs(5)
    gradients = trainer.gradients(*batch)
    told: list[Part] = []
    parts: list[Part] = []

    def gather(rows: Part) -> Part:
        assert not parts
        assert isinstance(rows, np.ndarray)
        assert (rows.dtype, rows.shape, rows.flags.c_contiguous) == (np.float32, (5, COLUMNS), True)
        told.append(rows.copy())
        return rows

    trainer.step(*batch, all_reduce=parts.append, all_gather=gather, global_batch_size=5)
    inputs, outputs = told[0][:, :INPUTS].astype(float), told[0][:, INPUTS:].astype(float)
    bound = 5 * np.finfo(np.float32).eps * (np.abs(inputs).T @ np.abs(outputs))
    assert np.all(np.abs(inputs.T @ outputs - gradients["fc0.weight"]) <= bound)
    np.testing.assert_allclose(outputs.sum(axis=0), gradients["fc0.bias"], rtol=1e-4, atol=1e-8)
    sizes = [gradients[name].size for name in gradients]
    assert [part.size for part in parts] == [sum(sizes[5:]), sum(sizes[:4])]  # fc0.weight is the fifth


def test_rows_are_divided_by_the_images_of_all_processes():
    told: list[Part] = []

    def gather(rows: Part) -> Part:
        told.append(rows.copy())
        return np.concatenate([rows, np.zeros((global_size - 2, COLUMNS), np.float32)])

    for global_size in (2, 8):
        make_cpu().step(
            *examples.discs(2), all_reduce=ignore, all_gather=gather, global_batch_size=global_size
        )
    np.testing.assert_allclose(told[1][:, INPUTS:], told[0][:, INPUTS:] / 4, rtol=1e-6, atol=0)
    checks.assert_same_bits(told[1][:, :INPUTS], told[0][:, :INPUTS])


def test_rows_may_be_kept():
    trainer = make_cpu()
    kept: list[Part] = []

    def keep(rows: Part) -> Part:
        kept.append(rows)
        return rows

    trainer.step(*examples.discs(2), all_reduce=ignore, all_gather=keep, global_batch_size=2)
    copy = kept[0].copy()
    for seed in range(3):
        trainer.step(
            *examples.discs(2, seed=520 + seed), all_reduce=ignore, all_gather=same, global_batch_size=2
        )
    del trainer
    gc.collect()
    checks.assert_same_bits(kept[0], copy)


class Later:
    """What adds a part up, or gathers rows, in its own time."""

    def __init__(self, rows: Part, told: list[str], word: str = "rows") -> None:
        self.rows, self.told, self.word = rows, told, word

    def wait(self) -> Part:
        self.told.append(self.word)
        return self.rows


def test_what_it_returns_is_waited_for_after_the_last_part():
    told: list[str] = []
    batch = examples.discs(3)
    trainer, expected = make_cpu(), make_cpu()
    trainer.step(
        *batch,
        all_reduce=lambda part: Later(part, told, "part"),
        all_gather=lambda rows: Later(rows, told),
        global_batch_size=3,
    )
    assert told == ["part", "part", "rows"]
    expected.apply_gradients(expected.gradients(*batch))
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))


def test_floats_of_other_sizes_and_orders_are_converted():
    batch = examples.discs(3)
    trainer, expected = make_cpu(), make_cpu()
    options: dict[str, Any] = {"all_reduce": ignore, "global_batch_size": 3}
    expected.step(*batch, all_gather=same, **options)
    trainer.step(*batch, all_gather=lambda rows: np.asfortranarray(rows, np.float64), **options)
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))


class Lost:
    def wait(self) -> None:
        raise ConnectionError("a peer left")


def raise_at_once(rows: Part) -> Part:
    raise ConnectionError("a peer left")


def with_value(value: float, image: int, column: int):
    def spoil(rows: Part) -> Part:
        rows = rows.copy()
        rows[image, column] = value
        return rows

    return spoil


def with_products_past_float32(rows: Part) -> Part:
    """Finite in themselves."""
    rows = rows.copy()
    rows[:, 7] = rows[:, INPUTS + 9] = 1e30
    return rows


def with_nan_where_inputs_are_zero(rows: Part) -> Part:
    """So that it would not get into any sum."""
    rows = rows.copy()
    rows[1] = 0
    rows[1, -1] = np.nan
    return rows


@pytest.mark.parametrize(
    ("gather", "error", "message"),
    [
        (raise_at_once, ConnectionError, "a peer left"),
        (lambda rows: Lost(), ConnectionError, "a peer left"),
        (
            with_value(np.nan, 0, 0),
            ValueError,
            "gradients: element 0 of row 0 from all_gather is nan; expected fi",
        ),
        (
            with_value(-np.inf, 2, 4159),
            ValueError,
            "gradients: element 4159 of row 2 from all_gather is -inf;",
        ),
        (
            with_nan_where_inputs_are_zero,
            ValueError,
            "gradients: element 4159 of row 1 from all_gather is nan;",
        ),
        (
            with_products_past_float32,
            ValueError,
            r"gradients: element 7177 of fc0\.weight is inf; expected finite",
        ),
        (lambda rows: None, TypeError, "all_gather: it returned None; expected the rows of all processes"),
        (lambda rows: True, TypeError, "all_gather: what it returned: dtype bool; expected floats"),
        (
            lambda rows: rows.astype(int),
            TypeError,
            "all_gather: what it returned: dtype int64; expected floats",
        ),
        (
            lambda rows: rows[:2],
            ValueError,
            r"all_gather: what it returned: shape \(2, 4160\); expected \(3, 4160\)",
        ),
        (lambda rows: rows.ravel(), ValueError, r"all_gather: what it returned: shape \(12480,\); expected"),
    ],
)
def test_without_good_rows_nothing_changes(gather, error, message):
    trainer = make_cpu(momentum=0.9)
    batch = examples.discs(3)
    trainer.step(*batch)
    before = trainer.state_dict()
    with pytest.raises(error, match=f"^{message}"):
        trainer.step(*batch, all_reduce=ignore, all_gather=gather, global_batch_size=3)
    for name, values in trainer.state_dict().items():
        checks.assert_same_bits(values, before[name])
    assert trainer.steps == 1
    expected = make_cpu(momentum=0.9)
    expected.load_state_dict(before)
    assert trainer.step(*batch) == expected.step(*batch)
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))


@pytest.mark.parametrize("part", [0, 1])
def test_a_part_that_is_not_finite_is_refused(part):
    trainer = make_cpu()
    before = checks.flat_state(trainer)
    parts: list[Part] = []

    def spoil(values: Part) -> None:
        parts.append(values)
        if len(parts) == part + 1:
            values[-1] = np.nan

    name = ("element 9 of fc1.bias", "element 63 of conv1.bias")[part].replace(".", r"\.")
    with pytest.raises(ValueError, match=f"^gradients: {name} is nan; expected finite values"):
        trainer.step(*examples.discs(2), all_reduce=spoil, all_gather=same, global_batch_size=2)
    checks.assert_same_bits(checks.flat_state(trainer), before)


def test_large_products_that_cancel_have_the_bits_of_the_plain_update():
    """Their bound is past what a float32 holds, their sums are not."""

    def gather(rows: Part) -> Part:
        rows = rows.copy()
        rows[:] = 0
        rows[:2, 5] = 2.0**64
        rows[0, INPUTS], rows[1, INPUTS] = 2.0**63, -(2.0**63)
        return rows

    trainer = make_cpu()
    before = trainer.state_dict()["fc0.weight"]
    trainer.step(*examples.discs(2), all_reduce=ignore, all_gather=gather, global_batch_size=2)
    checks.assert_same_bits(trainer.state_dict()["fc0.weight"], before)


def test_the_trainer_cannot_be_called_in_it():
    trainer = make_cpu()

    def call_back(rows: Part) -> Part:
        with pytest.raises(ValueError, match=r"^all_gather: it called the Trainer whose step it is part of"):
            trainer.predict(examples.discs(1)[0])
        return rows

    trainer.step(*examples.discs(2), all_reduce=ignore, all_gather=call_back, global_batch_size=2)
    assert trainer.steps == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"all_gather": 3, "all_reduce": ignore, "global_batch_size": 3},
            TypeError,
            "all_gather: 3; expected a f",
        ),
        ({"all_gather": 3}, ValueError, "all_gather: 3; expected None without all_reduce"),
        (
            {"all_gather": same, "all_reduce": ignore},
            ValueError,
            "global_batch_size: None; expected the images of all processes, with all_gather",
        ),
    ],
)
def test_bad_use(make_trainer, options, error, message):
    trainer = make_trainer(init="he")
    before = checks.flat_state(trainer)
    with pytest.raises(error, match=f"^{message}"):
        trainer.step(*examples.discs(3), **options)
    checks.assert_same_bits(checks.flat_state(trainer), before)
