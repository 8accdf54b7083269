"""Every check, with its id."""

from collections.abc import Callable
from dataclasses import dataclass

from .._core import DEVICES, Trainer, describe_devices, devices
from ..errors import DeviceError
from ..wording import counted
from . import flight, measurements, numbers, ties
from .extent import Extent
from .finding import Finding, Outcome
from .numbers import Say
from .subjects import make_batch, make_trainer


@dataclass(frozen=True)
class Check:
    """A line of the report before it is known. `group`: checks of one group may share a child process."""

    id: str
    device: str
    name: str
    group: str
    function: Callable[[str, Extent, Say], Outcome]

    def run(self, extent: Extent, say: Say) -> Finding:
        """Run the check; the device's errors fail it."""
        try:
            return self.finding(self.function(self.device, extent, say))
        except DeviceError as error:
            return self.finding(Outcome("FAIL", str(error)))

    def finding(self, outcome: Outcome) -> Finding:
        """Return the line of the report."""
        return Finding(self.id, self.device, self.name, outcome.verdict, outcome.detail, outcome.values)


def catalogue(extent: Extent) -> list[Check]:
    """Return all checks in the order of the report: the CPU first; how a device opens, to how it ends."""
    return [
        Check(f"{device}/{path}", device, name, group, function)
        for device in sorted(DEVICES, key=lambda name: name != "cpu")
        for group, path, name, function in _rows(device, extent)
    ]


# What a device's check has: its group, its id without the device, its name, its function.
_Row = tuple[str, str, str, Callable[[str, Extent, Say], Outcome]]

_MOMENTA = (0.0, 0.9)


def _rows(device: str, extent: Extent) -> list[_Row]:
    rows: list[_Row] = [("device", "device", "device", opens)]
    if device != "cpu":
        rows += _against_the_cpu(extent)
    rows += [("numbers", "ties", "pooling ties", ties.ties)]
    if device == "cpu":
        rows += [("flight", "threads", "any number of threads", flight.any_threads)]
    rows += _in_flight()
    if device != "cpu":
        rows += [("time", "compilation", "compilation", measurements.compilation)]
    rows += [
        ("time", f"latency/{size}", f"latency, batch {size}", measurements.latency(size))
        for size in extent.latency_sizes
    ]
    rows += [("memory", "memory", "memory growth", measurements.memory_growth)]
    return [*rows, ("exit", "exit", "end of its processes", ends)]


def _against_the_cpu(extent: Extent) -> list[_Row]:
    return [
        ("numbers", "initial-weights", "initial weights", numbers.initial_weights),
        *(
            ("numbers", f"{path}/{size}", f"{path} of {counted(size, 'image')}", check(size))
            for path, check in (("gradients", numbers.gradients), ("predictions", numbers.predictions))
            for size in extent.sizes
        ),
        ("numbers", "soft-labels", "soft labels", numbers.soft_labels),
        ("numbers", "step", "one step", numbers.one_step),
        *(
            (
                "numbers",
                f"training/{momentum:g}",
                f"training, momentum {momentum:g}",
                numbers.training(momentum),
            )
            for momentum in _MOMENTA
        ),
    ]


def _in_flight() -> list[_Row]:
    ways = (("run", "run", flight.by_run), ("step-async", "step_async", flight.by_step_async))
    return [
        ("flight", "repeatable", "repeatable", flight.repeatable),
        *(
            (
                "flight",
                f"{path}/{momentum:g}",
                f"{name} against step, momentum {momentum:g}",
                flight.in_flight(way, momentum),
            )
            for path, name, way in ways
            for momentum in _MOMENTA
        ),
    ]


def opens(device: str, _extent: Extent, say: Say) -> Outcome:
    """Whether the device can be used at all: what is not listed need not be."""
    say("opening it")
    try:
        trainer = make_trainer(device)
    except DeviceError as error:
        if device in devices():
            raise
        return Outcome("info", f"nothing to check: {error}", describe_devices()[device])
    facts = describe_devices()[device]
    if device == "cpu":
        return Outcome("ok", f"opened, with {counted(trainer.threads, 'thread')}", facts)
    if device == devices()[0]:
        return Outcome("ok", 'opened; "auto" takes it', facts)
    return Outcome("ok", f'opened; "auto" does not take it: {facts.get("passed_over", "unknown why")}', facts)


_alive: list[Trainer] = []  # until its process ends, like the global of a script


def ends(device: str, extent: Extent, say: Say) -> Outcome:
    """Leave a process that ends a trainer with steps in flight; `examine` judges its end, and all others'."""
    say("two steps in flight")
    trainer = make_trainer(device)
    for _ in range(2):
        trainer.step_async(*make_batch(0, extent.batch_size))
    _alive.append(trainer)
    return Outcome("ok", "all ended with exit code 0, one with 2 steps in flight", {"exit_code": 0})
