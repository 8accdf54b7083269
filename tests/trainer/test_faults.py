"""A failing GPU leaves its reason, the weights of the last completed step, and a trainer that goes on.

Only the host implementation of tests/objc_host can be told to fail, so these run on its build alone.
"""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import mpsmnist
from support import checks, examples, host
from support.host import (
    ADD_HANDLER,
    ALL_DEVICES,
    BUFFER,
    BUFFERS_ALLOCATED,
    COMMAND_BUFFER,
    COMMIT,
    COMMITS,
    COMMITTED,
    COMPILE,
    CONTENTS,
    DESCRIPTOR,
    ENCODE,
    GPU_APPLE,
    GPU_DISCRETE,
    IN_FLIGHT,
    LIVE_OBJECTS,
    NEXT_ROOT,
    OPERATION,
    QUEUE,
    STATUS,
    TENSOR_DATA,
)

STEPS = 5
N = 4
TIMEOUT = 60  # seconds after which we call it a hang; everything here takes far less

HOST = host.load()
HUNG = r"command buffer failed: the GPU hung \(MTLCommandBufferErrorDomain code 1\)"


@pytest.fixture(autouse=True)
def no_faults_left():
    HOST.objc_host_reset()
    yield
    HOST.objc_host_reset()


def make_trainer(**options):
    return mpsmnist.Trainer(
        **{"device": "mps", "seed": examples.TRAINER_SEED, "init": "he", "momentum": 0.9} | options
    )


def batch(step, n=N):
    return examples.discs(n, seed=300 + step)


def in_time(call):
    """What call() returns or raises; fails if that takes too long."""
    outcome = []

    def work():
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert outcome, "it hangs"
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def fail_commit(number):
    HOST.objc_host_fail_commit(number, b"the GPU hung")


def live_objects():
    """Counted once no handler holds any."""
    while HOST.objc_host_count(IN_FLIGHT) > 0:
        time.sleep(0.001)
    return HOST.objc_host_count(LIVE_OBJECTS)


@pytest.fixture(scope="module")
def undisturbed():
    """The losses of STEPS steps, and the state before each of them and after the last."""
    HOST.objc_host_reset()
    trainer = make_trainer()
    states, losses = [checks.flat_state(trainer)], []
    for step in range(STEPS):
        losses.append(trainer.step(*batch(step)))
        states.append(checks.flat_state(trainer))
    return losses, states


def assert_goes_on(trainer, undisturbed, step):
    """The trainer has the weights of `step` steps, and the rest of the training gives the same bits."""
    losses, states = undisturbed
    assert trainer.steps == step
    checks.assert_same_bits(checks.flat_state(trainer), states[step])
    assert [in_time(lambda k=k: trainer.step(*batch(k))) for k in range(step, STEPS)] == losses[step:]
    checks.assert_same_bits(checks.flat_state(trainer), states[STEPS])


@pytest.mark.parametrize("failing", [0, 1, 3])
def test_a_failed_step_keeps_the_weights_of_the_one_before(undisturbed, failing):
    HOST.objc_host_set_delays(1, 2000, 2000)
    trainer = make_trainer()
    fail_commit(failing + 1)
    for step in range(failing):
        trainer.step(*batch(step))
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps step\] {HUNG}$"):
        in_time(lambda: trainer.step(*batch(failing)))
    assert_goes_on(trainer, undisturbed, failing)


# MPSGraph may split a run into several root command buffers. The first may complete before encoding returns,
# and MPSGraph's own handler may come first or last. It alone can know of a root between first and last.
SPLITS = [(roots, failing) for roots in (1, 2, 3) for failing in range(1, roots + 1)]
MODES = {
    "": 0,
    "first completes": 0,
    "graph handler last": 1,
    "graph handler untold": 2,
    "graph handler twice": 4,
}
NEVER = 3
UNSEEN = "MPSGraph split the run into 3 command buffers, and not all that they wrote is finite"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("roots", "failing"), SPLITS)
def test_any_command_buffer_of_a_step_may_fail(undisturbed, roots, failing, mode):
    trainer = make_trainer()
    trainer.step(*batch(0))
    HOST.objc_host_set_delays(1, 0, 2000)
    HOST.objc_host_set_roots(roots, int(mode == "first completes"))
    HOST.objc_host_set_graph_handler(MODES[mode])
    fail_commit(failing)
    untold = (roots, failing, mode) == (3, 2, "graph handler untold")
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps step\] {UNSEEN if untold else HUNG + '$'}"):
        in_time(lambda: trainer.step(*batch(1)))
    assert trainer.steps == 1
    checks.assert_same_bits(checks.flat_state(trainer), undisturbed[1][1])
    assert in_time(lambda: trainer.step(*batch(1))) == undisturbed[0][1]
    checks.assert_same_bits(checks.flat_state(trainer), undisturbed[1][2])


@pytest.mark.parametrize("failing", [False, True])
def test_a_step_in_one_command_buffer_ends_without_mpsgraphs_handler(undisturbed, failing):
    HOST.objc_host_set_graph_handler(NEVER)
    trainer = make_trainer()
    if failing:
        fail_commit(1)
        with pytest.raises(mpsmnist.DeviceError, match=HUNG):
            in_time(lambda: trainer.step(*batch(0)))
    assert in_time(lambda: trainer.step(*batch(0))) == undisturbed[0][0]


def test_a_split_step_in_flight_does_not_end_before_its_last_command_buffer(undisturbed):
    HOST.objc_host_set_roots(3, 0)
    trainer = make_trainer()
    HOST.objc_host_hold(1)
    first, second = trainer.step_async(*batch(0)), trainer.step_async(*batch(1))
    time.sleep(0.05)
    assert not first.done()
    HOST.objc_host_hold(0)
    assert [in_time(first.result), in_time(second.result)] == undisturbed[0][:2]
    assert_goes_on(trainer, undisturbed, 2)


@pytest.mark.parametrize("roots", [1, 2, 4])
def test_the_command_buffers_of_a_run_are_counted(roots):
    trainer = make_trainer()
    HOST.objc_host_set_roots(roots, 0)
    trainer.step(*batch(0))
    fail_commit(1)
    with pytest.raises(mpsmnist.DeviceError):
        trainer.step(*batch(1))
    counted = trainer.diagnostics()
    assert (counted["runs"], counted["failed_runs"], counted["command_buffers"]) == (2, 1, 2 * roots)


def test_a_step_in_flight_fails_with_the_one_before_it(undisturbed):
    trainer = make_trainer()
    fail_commit(2)
    HOST.objc_host_hold(1)
    first, second = trainer.step_async(*batch(0)), trainer.step_async(*batch(1))
    HOST.objc_host_hold(0)
    third = in_time(lambda: trainer.step_async(*batch(2)))  # waits for the first
    assert in_time(first.result) == undisturbed[0][0]
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps step\] {HUNG}$"):
        in_time(second.result)
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps step\] the step before it failed: {HUNG}$"):
        in_time(third.result)
    in_time(trainer.synchronize)  # both failures are known, so this one is silent
    assert_goes_on(trainer, undisturbed, 1)


def test_a_step_begun_after_a_failure_fails_with_it(undisturbed):
    """The caller does not know of the failure yet: the step must not use weights that were never written."""
    trainer = make_trainer()
    trainer.step(*batch(0))
    fail_commit(1)
    first = trainer.step_async(*batch(1))
    while not first.done():
        time.sleep(0.001)
    commits = HOST.objc_host_count(COMMITS)
    second = trainer.step_async(*batch(2))
    assert HOST.objc_host_count(COMMITS) == commits
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps step\] the step before it failed: {HUNG}$"):
        in_time(second.result)
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps step\] {HUNG}$"):
        in_time(first.result)
    assert_goes_on(trainer, undisturbed, 1)


def test_a_failure_that_nobody_asked_for_comes_with_the_next_call(undisturbed):
    trainer = make_trainer()
    trainer.step(*batch(0))
    fail_commit(1)
    trainer.step_async(*batch(1))
    with pytest.raises(mpsmnist.DeviceError, match=HUNG):
        in_time(trainer.state_dict)
    assert_goes_on(trainer, undisturbed, 1)


def test_a_run_ends_at_the_failed_step(undisturbed):
    trainer = make_trainer()
    fail_commit(4)
    with pytest.raises(mpsmnist.DeviceError, match=HUNG):
        run_all(trainer, None)
    assert_goes_on(trainer, undisturbed, 3)


def run_all(trainer, on_step):
    images, labels = (np.concatenate(parts) for parts in zip(*map(batch, range(STEPS)), strict=True))
    return in_time(
        lambda: trainer.run(images, labels, np.arange(STEPS * N).reshape(STEPS, N), on_step=on_step)
    )


def test_a_run_reports_the_steps_before_the_failed_one(undisturbed):
    trainer = make_trainer()
    fail_commit(4)
    reported = []
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps step\] {HUNG}$"):
        run_all(trainer, lambda step, loss: reported.append((step, loss)))
    assert reported == list(zip(range(1, 4), undisturbed[0], strict=False))
    assert_goes_on(trainer, undisturbed, 3)


def test_a_run_ends_at_a_failed_step_that_on_step_was_told_of(undisturbed):
    """Its own call is the first to learn that the step under way has failed, and it keeps that to itself."""
    trainer = make_trainer()
    fail_commit(2)
    reported, caught = [], []

    def on_step(step, loss):
        reported.append(step)
        try:
            trainer.synchronize()
        except mpsmnist.DeviceError as error:
            caught.append(error)

    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps step\] {HUNG}$"):
        run_all(trainer, on_step)
    assert reported == [1]
    assert len(caught) == 1
    assert_goes_on(trainer, undisturbed, 1)


READS = {
    "predict": lambda trainer: trainer.predict(batch(1)[0]),
    "evaluate": lambda trainer: trainer.evaluate(*batch(1)),
    "gradients": lambda trainer: trainer.gradients(*batch(1)),
}


@pytest.mark.parametrize("read", READS)
def test_reads_fail_without_harm(undisturbed, read):
    trainer = make_trainer()
    trainer.step(*batch(0))
    fail_commit(1)
    where = "mps gradients" if read == "gradients" else "mps predict"
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[{where}\] {HUNG}$"):
        in_time(lambda: READS[read](trainer))
    READS[read](trainer)
    assert_goes_on(trainer, undisturbed, 1)


def test_no_device():
    host.set_gpus(HOST)
    assert mpsmnist.devices() == ["cpu"]
    assert mpsmnist.Trainer().device == "cpu"
    message = r'^device "mps" is not available: Metal found no GPU on this machine; available: "cpu"$'
    with pytest.raises(mpsmnist.DeviceError, match=message):
        mpsmnist.Trainer(device="mps")


def test_a_device_that_goes_while_it_is_opened():
    host.set_gpus(HOST, GPU_APPLE, default=False)
    HOST.objc_host_return_nil(ALL_DEVICES, 2, 1)
    with pytest.raises(mpsmnist.DeviceError, match=r"^\[mps device\] Metal found no GPU on this machine$"):
        mpsmnist.Trainer(device="mps")


def test_a_device_with_memory_of_its_own():
    host.set_gpus(HOST, GPU_DISCRETE)
    assert mpsmnist.devices() == ["cpu"]
    with pytest.raises(mpsmnist.DeviceError, match=r'the GPU "AMD Radeon Pro 5500M" has memory of its own'):
        mpsmnist.Trainer(device="mps")


def test_no_command_queue():
    HOST.objc_host_return_nil(QUEUE, 1, 1)
    with pytest.raises(mpsmnist.DeviceError, match=r"^\[mps device\] Metal returned no command queue$"):
        make_trainer()


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_construction_without_memory_leaves_nothing_behind(place):
    HOST.objc_host_reset()
    make_trainer()
    count = HOST.objc_host_count(BUFFERS_ALLOCATED)
    before = live_objects()
    HOST.objc_host_return_nil(BUFFER, {"first": 1, "middle": count // 2, "last": count}[place], 1)
    with pytest.raises(
        mpsmnist.DeviceError, match=r"^\[mps buffer\] Metal could not allocate \d+ bytes for [\w.]+$"
    ):
        make_trainer()
    assert live_objects() == before
    assert np.isfinite(make_trainer().step(*batch(0)))


# What a step of a new batch size asks Metal and MPSGraph for, and the message when it is refused.
REFUSED = {
    "buffer": (BUFFER, r"^\[mps buffer\] Metal could not allocate 25088 bytes for images$"),
    "tensor data": (TENSOR_DATA, r"^\[mps buffer\] MPSGraph refused the buffer of images$"),
    "descriptor": (DESCRIPTOR, r"^\[mps graph\] MPSGraph refused the convolution's descriptor$"),
    "executable": (
        COMPILE,
        r"^\[mps compile\] MPSGraph returned no executable for training at batch size 6$",
    ),
    "command buffer": (COMMAND_BUFFER, r"^\[mps encode\] Metal returned no command buffer$"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("step_of", ["step", "step_async", "run"])
def test_a_refused_step_changes_nothing(undisturbed, what, step_of):
    call, message = REFUSED[what]
    trainer = make_trainer()
    trainer.step(*batch(0))
    pending = trainer.step_async(*batch(1))  # in flight meanwhile, and not harmed
    images, labels = batch(9, n=6)
    arguments = (images, labels, [range(6)]) if step_of == "run" else (images, labels)
    HOST.objc_host_return_nil(call, 1, 1)
    with pytest.raises(mpsmnist.DeviceError, match=message):
        in_time(lambda: getattr(trainer, step_of)(*arguments))
    assert in_time(pending.result) == undisturbed[0][1]
    assert_goes_on(trainer, undisturbed, 2)


@pytest.mark.parametrize(("purpose", "read"), [("prediction", "evaluate"), ("gradients", "gradients")])
def test_reads_without_an_executable(undisturbed, purpose, read):
    trainer = make_trainer()
    trainer.step(*batch(0))
    HOST.objc_host_return_nil(COMPILE, 1, 1)
    with pytest.raises(
        mpsmnist.DeviceError, match=rf"MPSGraph returned no executable for {purpose} at batch size {N}$"
    ):
        READS[read](trainer)
    assert_goes_on(trainer, undisturbed, 1)


# What throws in a step of a new batch size, and where the message says that it did.
RAISED = {
    "buffer": (BUFFER, 1, "mps"),
    "tensor data": (TENSOR_DATA, 2, "mps"),
    "descriptor": (DESCRIPTOR, 2, "mps"),
    "operation": (OPERATION, 20, "mps"),
    "executable": (COMPILE, 1, "mps"),
    "command buffer": (COMMAND_BUFFER, 1, "mps"),
    "contents": (CONTENTS, 1, "mps"),
    "contents later": (CONTENTS, 3, "mps"),
    "encoding": (ENCODE, 1, "mps encode"),
    "encoding after two roots": (NEXT_ROOT, 3, "mps encode"),
    "handler": (ADD_HANDLER, 1, "mps encode"),
    "handler of the last root": (ADD_HANDLER, 2, "mps encode"),
    "commit": (COMMIT, 1, "mps step"),
    "status in a handler": (STATUS, 1, "mps step"),
    "commit of the last root": (COMMIT, 1, "mps step"),
    "after the commit": (COMMITTED, 1, "mps step"),
    "after the commit of the first root": (COMMITTED, 1, "mps encode"),
    "after the commit of the last root": (COMMITTED, 4, "mps step"),
}
SLOW = 33_408  # a seed of delays whose first four are above 3/4 of the longest
RAISED_TEXT = r"an Apple framework raised NSRangeException: index 3 beyond bounds"


def throw(call, number):
    HOST.objc_host_throw(call, number, b"NSRangeException", b"index 3 beyond bounds")


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("step_of", ["step", "step_async"])
def test_an_exception_ends_the_step_alone(undisturbed, what, step_of):
    call, number, where = RAISED[what]
    trainer = make_trainer()
    trainer.step(*batch(0))
    if "root" in what:
        HOST.objc_host_set_roots(4, 0)
    HOST.objc_host_set_delays(
        SLOW, 50_000, 0
    )  # what is left on the GPU is still there when the next step begins
    steps = {
        "step": lambda: trainer.step(*batch(9, n=6)),
        "step_async": lambda: trainer.step_async(*batch(9, n=6)).result(),
    }
    throw(call, number)
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[{where}\] {RAISED_TEXT}$"):
        in_time(steps[step_of])
    HOST.objc_host_set_delays(1, 0, 0)
    assert_goes_on(trainer, undisturbed, 1)


@pytest.mark.parametrize("call", [CONTENTS, COMMAND_BUFFER, ENCODE, COMMIT, COMMITTED, STATUS])
@pytest.mark.parametrize("read", READS)
def test_an_exception_ends_the_read_alone(undisturbed, read, call):
    trainer = make_trainer()
    trainer.step(*batch(0))
    throw(call, 1)
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps[a-z ]*\] {RAISED_TEXT}$"):
        in_time(lambda: READS[read](trainer))
    READS[read](trainer)
    assert_goes_on(trainer, undisturbed, 1)


@pytest.mark.parametrize("call", [ENCODE, STATUS])  # in a call of the program's, and in a handler
def test_an_exception_may_lack_name_and_reason(call):
    trainer = make_trainer()
    HOST.objc_host_throw(call, 1, None, None)
    with pytest.raises(mpsmnist.DeviceError, match=r"an Apple framework raised an exception without a name$"):
        in_time(lambda: trainer.step(*batch(0)))


@pytest.mark.parametrize("call", [CONTENTS, QUEUE, BUFFER, TENSOR_DATA])
def test_construction_with_an_exception_leaves_nothing_behind(call):
    make_trainer()
    before = live_objects()
    throw(call, 1)
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps\] {RAISED_TEXT}$"):
        make_trainer()
    assert live_objects() == before
    assert np.isfinite(make_trainer().step(*batch(0)))


def test_a_failed_commit_in_flight_is_not_the_step_before_it(undisturbed):
    trainer = make_trainer()
    throw(COMMIT, 2)
    first, second = trainer.step_async(*batch(0)), trainer.step_async(*batch(1))
    assert in_time(first.result) == undisturbed[0][0]
    with pytest.raises(mpsmnist.DeviceError, match=rf"^\[mps step\] {RAISED_TEXT}$"):
        in_time(second.result)
    assert_goes_on(trainer, undisturbed, 1)
