"""The command `train`: its options, and a run with its reports, warnings and outputs."""

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path

from ..data import DATASETS, Dataset
from ..errors import Error
from ..training.chance import chance, is_same_answer
from ..training.config import (
    AUGMENTATIONS,
    DEVICE_CHOICES,
    FASTEST,
    INITS,
    PRESETS,
    ConfigError,
    TrainConfig,
    merge,
    preset_options,
)
from ..training.events import CheckpointFailedEvent, TrainResult
from ..training.loop import DivergedError, UnsavedError, check_ahead, resumed_config, train
from ..training.sampling import SAMPLINGS
from ..training.schedule import SCHEDULES
from ..user_files import expand_path
from . import plot, signals
from .console import DONE, FAILED, Command, UsageError, complain
from .distributed import train_together, warn_of_mpirun
from .loading import load_dataset
from .log import telling
from .options import add_data_options, add_shape_options, add_threads
from .report import JsonReporter, Report, TextReporter, say

EPILOG = """\
exit codes: 0 done; 1 failed (dataset, device, checkpoint, diverged, target accuracy not reached);
2 bad usage; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP: these finish the steps under way
and save the checkpoint; a second one ends at once. A run that fails halfway or is interrupted prints
no "end" line. stderr that cannot be written to harms no run; stdout fails it at the end, with --json.
"""

SOME_IMAGES = 100  # enough to see whether they get different answers


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options. None stands for "not given": a preset or checkpoint may then set them."""
    _add_run_options(parser.add_argument_group("the run"))
    _add_place_options(parser.add_argument_group("data and device"))
    _add_output_options(parser.add_argument_group("output"))


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    preset = "original (default), fast: 99%% accuracy in the fewest seconds, or accurate: 99.7%%"
    add("--preset", choices=PRESETS, help=preset)
    add_length = group.add_mutually_exclusive_group().add_argument
    add_length("--steps", type=int, metavar="N", help="updates, from the very beginning (default 300)")
    add_length(
        "--epochs", type=float, metavar="N", help="passes over the training images, up to ten evaluated"
    )
    add("--batch-size", type=int, metavar="N", help="images per step (default 16)")
    add("--learning-rate", type=float, metavar="X", help="the peak with one-cycle (default 0.01)")
    add("--momentum", type=float, metavar="X", help="default 0")
    add("--init", choices=INITS, help="initial weights (default uniform)")
    add("--schedule", choices=SCHEDULES, help="of the learning rate (default constant)")
    add("--sampling", choices=SAMPLINGS, help="of the batches (default replacement)")
    augmentation = (
        "distort: turn, shift, scale, shear and bend each image at random, anew each time (default none)"
    )
    add("--augmentation", choices=AUGMENTATIONS, help=augmentation)
    add("--seed", type=int, metavar="N", help="of weights, batches and augmentation (default 0)")
    held_out = "hold N training images out, evaluate those, and the test images only at the end"
    add("--validation", type=int, metavar="N", help=held_out)
    add("--eval-every", type=int, metavar="N", help="evaluate every N steps (of each epoch) too")
    target = "stop when the test accuracy, or validation accuracy, reaches X, such as 0.99"
    add("--target-accuracy", type=float, metavar="X", help=target)


def _add_place_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--dataset", choices=DATASETS, help="default auto: mnist or, where it is unavailable, synthetic")
    add_data_options(group)
    add_shape_options(group)
    add(
        "--device",
        choices=(*DEVICE_CHOICES, FASTEST),
        help="default auto: mps where there is one, else cpu; fastest: each is timed with this batch size",
    )
    add_threads(group)
    together = "train one network on all processes that mpirun has started; needs mpi4py"
    add("--distributed", action="store_const", const=True, help=together)


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--checkpoint",
        type=Path,
        metavar="PATH",
        help="save the run here at its end, and when a signal ends it",
    )
    add("--checkpoint-every", type=int, metavar="N", help="save the checkpoint every N steps too")
    resume = "continue this checkpoint's run with its options; saves there again unless --checkpoint differs"
    overwrite = "let --checkpoint replace a file that exists; --plot always does"
    add("--overwrite", action="store_const", const=True, help=overwrite)
    add("--resume", type=Path, metavar="PATH", help=resume)
    init_from = "begin a new run with this checkpoint's weights, at step 0 and without momentum"
    add("--init-from", type=Path, metavar="PATH", help=init_from)
    picture = "draw curves and worst mistakes: .png, .pdf, .svg or .jpg"
    add("--plot", type=expand_path, metavar="PATH", help=picture)
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
        if arguments.distributed:
            return train_together(
                lambda: parse_config(arguments), lambda config: _train(config, arguments, program), program
            )
        warn_of_mpirun(program)
        return _train(parse_config(arguments), arguments, program)
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _train(config: TrainConfig, arguments: argparse.Namespace, program: str) -> int:
    check_ahead(config)  # and again in train(): loading data may take minutes, and the file be there by then
    if arguments.plot is not None:
        plot.check_plot(arguments.plot, config)
    with contextlib.nullcontext() if arguments.quiet else telling(program):
        dataset = load_dataset(program, config.dataset, **config.data_options)
    json_reporter = JsonReporter()
    reporters: list[Callable[[Report], None]] = [json_reporter] if arguments.json else []

    def report(event: Report) -> None:
        for reporter in reporters:
            reporter(event)
        if isinstance(event, CheckpointFailedEvent):  # however quiet the run
            say(f"{program}: warning: {event.warning()}")

    with signals.deferred() as stop:
        try:
            with contextlib.ExitStack() as stack:
                if not arguments.quiet:
                    stack.enter_context(telling(program))
                    reporters.append(stack.enter_context(TextReporter()))
                result = train(
                    config,
                    dataset=dataset,
                    on_step=report,
                    on_event=report,
                    stop=stop,
                    curves=arguments.plot is not None,
                )
        except (DivergedError, UnsavedError) as error:
            if arguments.plot is not None and error.result is not None:
                _draw_too(arguments.plot, error.result, dataset, program)
            raise
        if arguments.plot is not None:  # of a run that was interrupted, too
            plot.save_plot(arguments.plot, result, dataset)
    saved = "" if config.checkpoint is None else f", saved to {config.checkpoint}"
    signals.check(f"after step {result.steps}{saved}")
    if result.interrupted:
        complain(program, f"another rank was interrupted after step {result.steps}{saved}")
        return FAILED
    report(result)
    if result.learned is False:
        complain(program, f"warning: {_why_not_learned(config, result, dataset)}")
    if config.checkpoint is None and not arguments.quiet:
        complain(program, "the trained network was not kept: --checkpoint PATH keeps it")
    if json_reporter.error is not None:
        complain(program, f"the JSON lines are incomplete: {json_reporter.error}")
        return FAILED
    if result.target_reached is False:
        name = "test" if config.validation is None else "validation"
        reached = result.test_accuracy if config.validation is None else result.validation_accuracy
        target = f"short of the target {config.target_accuracy:.2%}"
        complain(program, f"the {name} accuracy is {reached:.2%}, {target}")
        return FAILED
    return DONE


def _draw_too(path: Path, result: TrainResult, dataset: Dataset, program: str) -> None:
    """Draw a run that has failed, and say so if that fails too; why the run failed is said after it."""
    try:
        plot.save_plot(path, result, dataset)
    except Error as error:
        complain(program, error)


def _why_not_learned(config: TrainConfig, result: TrainResult, dataset: Dataset) -> str:
    """Compare the result with chance, and name the likely cause and what to try."""
    assert result.test_accuracy is not None and result.test_loss is not None  # noqa: PT018 (not interrupted)
    best = chance(dataset.test_labels)
    rate = config.learning_rate
    if is_same_answer(result.trainer.predict(dataset.test_images[:SOME_IMAGES])):
        other_init = "" if config.init == "he" else " or --init he"
        likely = f"every image gets the same answer: the learning rate, {rate:g}, is probably too high"
        remedy = f"{rate / 10:g}{other_init}"
    else:
        likely = f"the learning rate, {rate:g}, may be too low"
        remedy = f"{rate * 10:g} or more steps"
    return (
        f"the network has not learned anything. Its test accuracy, {result.test_accuracy:.2%}, and test "
        f"loss, {result.test_loss:.4f},\nare no better than those of one answer for every image "
        f"({best.accuracy:.2%} and {best.loss:.4f}).\n"
        f"{likely.capitalize()}. Try --learning-rate {remedy}."
    )


COMMAND = Command(
    description="Train the classic MNIST convolutional network.",
    epilog=EPILOG,
    add_options=_add_options,
    run=_run,
)
