"""The command `train`: its options, and a run with its reports, warnings and outputs."""

import argparse
import contextlib
import warnings
from collections.abc import Callable

from ..data import DATASETS, Dataset, SyntheticDataWarning, load
from ..training.checkpoint import check_target
from ..training.config import (
    DEVICE_CHOICES,
    INITS,
    PRESETS,
    ConfigError,
    TrainConfig,
    check_output,
    merge,
    preset_options,
)
from ..training.loop import resumed_config, train
from ..training.sampling import SAMPLINGS
from ..training.schedule import SCHEDULES
from ..user_files import expand_path
from . import plot
from .console import DONE, FAILED, INTERRUPTED, Command, UsageError, complain, stop_on_interrupt
from .report import Report, TextReporter, print_json

EPILOG = """\
exit codes: 0 done; 1 failed (dataset, device, checkpoint, diverged, target accuracy not reached);
2 bad usage; 130 interrupted. Ctrl-C finishes the steps under way and saves the checkpoint; a
second one ends at once. A run that fails halfway or is interrupted prints no "end" line.
"""


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options. None stands for "not given": a preset or checkpoint may then set them."""
    _add_run_options(parser.add_argument_group("the run"))
    _add_place_options(parser.add_argument_group("data and device"))
    _add_output_options(parser.add_argument_group("output"))


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--preset", choices=PRESETS, help="original (default), or fast: 99%% accuracy in the fewest seconds")
    add("--steps", type=int, metavar="N", help="updates, counted from the very beginning (default 300)")
    add("--epochs", type=float, metavar="N", help="passes over the training images, instead of --steps")
    add("--batch-size", type=int, metavar="N", help="images per step (default 16)")
    add("--learning-rate", type=float, metavar="X", help="the peak with one-cycle (default 0.01)")
    add("--momentum", type=float, metavar="X", help="default 0")
    add("--init", choices=INITS, help="initial weights (default uniform)")
    add("--schedule", choices=SCHEDULES, help="of the learning rate (default constant)")
    add("--sampling", choices=SAMPLINGS, help="of the batches (default replacement)")
    add("--seed", type=int, metavar="N", help="of the initial weights and the batches (default 0)")
    add("--eval-every", type=int, metavar="N", help="evaluate every N steps, not only at the end")
    add(
        "--target-accuracy",
        type=float,
        metavar="X",
        help="stop when the test accuracy reaches X, such as 0.99",
    )


def _add_place_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--dataset", choices=DATASETS, help="default auto: mnist or, where it is unavailable, synthetic")
    add("--data-dir", type=expand_path, metavar="DIR", help="the folder that holds the dataset's files")
    add("--offline", action="store_const", const=True, help="never use the network")
    add("--device", choices=DEVICE_CHOICES, help="default auto: mps where there is one, else cpu")
    add("--threads", type=int, metavar="N", help="CPU threads (default: the cores that this process may use)")


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--checkpoint", type=expand_path, metavar="PATH", help="save the run here at its end, and on Ctrl-C")
    add("--checkpoint-every", type=int, metavar="N", help="save the checkpoint every N steps too")
    resume = "continue this checkpoint's run with its options; saves there again unless --checkpoint differs"
    overwrite = "let --checkpoint replace a file that exists; --plot always does"
    add("--overwrite", action="store_const", const=True, help=overwrite)
    add("--resume", type=expand_path, metavar="PATH", help=resume)
    init_from = "begin a new run with this checkpoint's weights, at step 0 and without momentum"
    add("--init-from", type=expand_path, metavar="PATH", help=init_from)
    add(
        "--plot",
        type=expand_path,
        metavar="PATH",
        help="draw the curves and the worst mistakes to a PNG file",
    )
    add("--json", action="store_true", help="print one JSON object per event and line to stdout")
    add("--quiet", action="store_true", help="print nothing but errors and warnings to stderr")


def parse_config(arguments: argparse.Namespace) -> TrainConfig:
    """Take the checkpoint's or the default options, the preset's over them, and those given over both."""
    own = {"preset", "resume", "plot", "json", "quiet"}
    given = {name: value for name, value in vars(arguments).items() if name not in own and value is not None}
    options = merge({} if arguments.preset is None else preset_options(arguments.preset), given)
    if arguments.resume is not None:
        return resumed_config(arguments.resume, **options)
    return TrainConfig(**options)


def _run(arguments: argparse.Namespace, program: str) -> int:
    try:
        return _train(arguments, program)
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _train(arguments: argparse.Namespace, program: str) -> int:
    config = parse_config(arguments)
    check_target(config)
    if arguments.plot is not None:
        check_output("plot", arguments.plot)
        plot.require_matplotlib()
    dataset = _load_dataset(config, program)
    reporters: list[Callable[[Report], None]] = [print_json] if arguments.json else []

    def report(event: Report) -> None:
        for reporter in reporters:
            reporter(event)

    with contextlib.ExitStack() as stack:
        if not arguments.quiet:
            reporters.append(stack.enter_context(TextReporter()))
        stop = stack.enter_context(stop_on_interrupt())
        result = train(config, dataset=dataset, on_step=report, on_event=report, stop=stop)
    if result.interrupted:
        saved = "" if config.checkpoint is None else f", saved to {config.checkpoint}"
        complain(program, f"interrupted after step {result.steps}{saved}")
        return INTERRUPTED
    if arguments.plot is not None:
        plot.save_plot(arguments.plot, result, dataset)
    report(result)
    if result.target_reached is False:
        reached, target = f"{result.test_accuracy:.2%}", f"{config.target_accuracy:.2%}"
        complain(program, f"the test accuracy is {reached}, short of the target {target}")
        return FAILED
    return DONE


def _load_dataset(config: TrainConfig, program: str) -> Dataset:
    """Load the data. That it is not real MNIST must not be missed, however quiet the run."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset = load(config.dataset, data_dir=config.data_dir, offline=config.offline)
        except ValueError as error:
            raise UsageError(str(error)) from error
    for warning in caught:
        text = str(warning.message).strip()
        if issubclass(warning.category, SyntheticDataWarning):
            line = "*" * 100
            text = f"{line}\n{text}\n{line}"
        complain(program, f"warning:\n{text}")
    return dataset


COMMAND = Command(
    description="Train the classic MNIST convolutional network.",
    epilog=EPILOG,
    add_options=_add_options,
    run=_run,
)
