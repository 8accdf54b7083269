"""step(all_reduce=...): one Trainer among several processes, which are threads here."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import mpsmnist
from support import checks, examples
from support.rank_threads import Part, assert_alone_is_as_usual, assert_several_are_one, ignore


def test_alone_it_is_the_gradients_then_their_update(make_trainer):
    trainer, usual = make_trainer(init="he", momentum=0.9), make_trainer(init="he", momentum=0.9)
    assert_alone_is_as_usual(trainer, usual, images=5)


@pytest.mark.parametrize("shards", [(3, 3), (2, 4), (1, 2, 3)])
def test_several_are_one_with_all_the_images(make_trainer, shards):
    assert_several_are_one(
        make_trainer, shards, lambda threads, rank: {"all_reduce": threads.all_reduce(rank)}
    )


def test_without_a_global_size_the_gradients_are_those_of_the_images_here(make_trainer):
    trainer = make_trainer(init="he")
    batch = examples.discs(5)
    own, shared = [], []
    expected = trainer.gradients(*batch).flat.copy()
    make_trainer(init="he").step(*batch, all_reduce=lambda part: own.append(part.copy()))
    make_trainer(init="he").step(
        *batch, all_reduce=lambda part: shared.append(part.copy()), global_batch_size=20
    )
    assert sorted(map(len, own)) == sorted(map(len, shared))
    for whole, quarter in zip(own, shared, strict=True):
        np.testing.assert_allclose(quarter, whole / 4, rtol=1e-5, atol=1e-9)
    checks.assert_same_bits(np.concatenate(own[::-1]), expected)  # the last part is the first in flat order


def test_parts_are_float32_and_may_be_changed_and_kept(make_trainer):
    trainer = make_trainer(init="he")
    kept: list[Part] = []

    def keep(part: Part) -> None:
        assert isinstance(part, np.ndarray)
        assert (part.dtype, part.ndim, part.flags.writeable, part.flags.c_contiguous) == (
            np.float32,
            1,
            True,
            True,
        )
        kept.append(part)

    batch = examples.discs(2)
    trainer.step(*batch, all_reduce=keep)
    copies = [part.copy() for part in kept]
    for seed in range(3):
        trainer.step(*examples.discs(2, seed=520 + seed), all_reduce=ignore)
    del trainer
    gc.collect()
    for part, copy in zip(kept, copies, strict=True):
        checks.assert_same_bits(part, copy)


def test_on_the_cpu_the_dense_layers_come_first():
    trainer = mpsmnist.Trainer(device="cpu")
    sizes: list[int] = []
    trainer.step(*examples.discs(2), all_reduce=lambda part: sizes.append(len(part)))
    shapes = {name: value.size for name, value in trainer.state_dict().items()}
    convolutions = sum(size for name, size in shapes.items() if name.startswith("conv"))
    assert sizes == [sum(shapes.values()) - convolutions, convolutions]


def test_what_it_returns_is_waited_for_before_the_update(make_trainer):
    """By Wait() where there is one: the wait() of MPI's requests is another, for pickled objects."""
    told: list[str] = []

    class Request:
        def __init__(self, part: Part) -> None:
            self.part = part

        def Wait(self) -> None:  # noqa: N802 (as in MPI)
            told.append("Wait")
            self.part[...] = 0

        def wait(self) -> None:
            told.append("wait")

    class Work:
        def __init__(self, part: Part) -> None:
            self.part = part

        def wait(self) -> None:
            told.append("wait")
            self.part[...] = 0

    trainer = make_trainer(init="he")
    before = checks.flat_state(trainer)
    for kind, name in ((Request, "Wait"), (Work, "wait")):
        told.clear()

        def begin(part: Part, kind: type = kind) -> object:
            told.append("begin")
            return kind(part)

        trainer.step(*examples.discs(2), all_reduce=begin)
        parts = told.count("begin")
        assert told == ["begin"] * parts + [name] * parts
        checks.assert_same_bits(checks.flat_state(trainer), before)  # the gradients were zeros by then


@pytest.mark.parametrize("when", ["first part", "last part", "wait"])
def test_what_it_raises_ends_the_step_without_an_update(make_trainer, when):
    trainer = make_trainer(init="he", momentum=0.9)
    batch = examples.discs(3)
    before = checks.flat_state(trainer)
    count = 0
    trainer.step(*batch, all_reduce=lambda part: None)
    trainer.load_state_dict(make_trainer(init="he", momentum=0.9).state_dict())
    parts: list[Part] = []
    make_trainer(init="he").step(*batch, all_reduce=parts.append)

    class Lost:
        def wait(self) -> None:
            raise ConnectionError("a peer left")

    def fail(part: Part) -> object:
        nonlocal count
        count += 1
        if count == (1 if when == "first part" else len(parts)) and when != "wait":
            raise ConnectionError("a peer left")
        return Lost()

    with pytest.raises(ConnectionError, match="a peer left"):
        trainer.step(*batch, all_reduce=fail)
    checks.assert_same_bits(checks.flat_state(trainer), before)
    assert trainer.steps == 1
    expected = make_trainer(init="he", momentum=0.9)
    assert trainer.step(*batch) == expected.step(*batch)
    checks.assert_same_bits(checks.flat_state(trainer), checks.flat_state(expected))


@pytest.mark.parametrize("error", [MemoryError, OSError])
def test_its_errors_are_not_taken_for_the_devices(make_trainer, error):
    def fail(part: Part) -> None:
        raise error("of its own")

    with pytest.raises(error, match="of its own"):
        make_trainer().step(*examples.discs(2), all_reduce=fail)


def test_a_sum_that_is_not_finite_is_refused(make_trainer):
    trainer = make_trainer(init="he")
    before = checks.flat_state(trainer)

    def spoil(part: Part) -> None:
        part[0] = np.inf

    with pytest.raises(mpsmnist.NotFiniteError, match=r"^gradients: element 0 of conv0\.weight is inf"):
        trainer.step(*examples.discs(2), all_reduce=spoil)
    checks.assert_same_bits(checks.flat_state(trainer), before)
    assert trainer.steps == 0


def test_the_trainer_cannot_be_called_in_the_middle_of_its_step(make_trainer):
    trainer, other = make_trainer(init="he"), make_trainer(init="he")
    batch = examples.discs(2)
    refused: list[str] = []

    def call_back(part: Part) -> None:
        for call in (
            lambda: trainer.step(*batch),
            lambda: trainer.step(*batch, all_reduce=ignore),
            lambda: trainer.predict(batch[0]),
            lambda: trainer.gradients(*batch),
            trainer.state_dict,
            trainer.synchronize,
        ):
            with pytest.raises(
                ValueError, match="all_reduce: it called the Trainer whose step it is part of"
            ):
                call()
            refused.append("refused")
        other.step(*batch)  # another one may be
        repr(trainer)

    trainer.step(*batch, all_reduce=call_back)
    assert refused
    trainer.step(*batch)
    assert trainer.steps == 2


def test_other_threads_wait_for_their_turn(make_trainer):
    trainer = make_trainer(init="he")
    batch = examples.discs(2)
    steps: list[int] = []
    readers: list[threading.Thread] = []

    def read(part: Part) -> None:
        reader = threading.Thread(target=lambda: steps.append(trainer.steps))
        reader.start()
        readers.append(reader)
        reader.join(0.05)
        assert not steps

    trainer.step(*batch, all_reduce=read)
    for reader in readers:
        reader.join()
    assert set(steps) == {1}


class Unready:
    """Has nothing to call."""

    Wait = None
    wait = 3

    def __repr__(self) -> str:
        return "an Unready"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"all_reduce": 3}, TypeError, "all_reduce: 3; expected a function or None"),
        (
            {"all_reduce": lambda part: 3},
            TypeError,
            r"all_reduce: it returned 3; expected None, or an object with Wait\(\) or wait\(\)",
        ),
        (
            {"all_reduce": lambda part: Unready()},
            TypeError,
            "all_reduce: it returned an Unready; expected None",
        ),
        (
            {"all_reduce": ignore, "global_batch_size": 2},
            ValueError,
            "global_batch_size: 2; expected at least the 3 images of this process",
        ),
        ({"all_reduce": ignore, "global_batch_size": 3.5}, TypeError, "global_batch_size: 3.5; expected an"),
        ({"global_batch_size": 8}, ValueError, "global_batch_size: 8; expected None without all_reduce"),
    ],
)
def test_bad_use(make_trainer, options, error, message):
    trainer = make_trainer(init="he")
    before = checks.flat_state(trainer)
    with pytest.raises(error, match=f"^{message}"):
        trainer.step(*examples.discs(3), **options)
    checks.assert_same_bits(checks.flat_state(trainer), before)
