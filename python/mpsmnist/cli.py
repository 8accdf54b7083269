"""The command line of `python -m mpsmnist.train`: options, signals, warnings and exit codes."""

import argparse
import contextlib
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from . import plot
from ._core import __version__
from .console import DONE, FAILED, INTERRUPTED, complain, run_program
from .data import DATASETS, Dataset, SyntheticDataWarning, load
from .loop import resumed_config, train
from .recipe import DEVICES, INITS, PRESETS, ConfigError, TrainConfig, check_output, merge, preset_options
from .report import JsonReporter, Report, TextReporter
from .sampling import SAMPLINGS
from .schedule import SCHEDULES

PROGRAM = "python -m mpsmnist.train"

EPILOG = """\
exit codes: 0 done; 1 failed (dataset, device, checkpoint, diverged, target accuracy not reached);
2 bad usage; 130 interrupted. Ctrl-C finishes the steps under way and saves the checkpoint; a
second one ends at once. A run that fails half way or is interrupted prints no "end" line.
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the options. Their default is None, "not given": a preset or checkpoint then has its say."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Train the classic MNIST convolutional network.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mpsmnist {__version__}")
    _add_run_options(parser.add_argument_group("the run"))
    _add_place_options(parser.add_argument_group("data and device"))
    _add_output_options(parser.add_argument_group("output"))
    return parser


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
    add("--dataset", choices=DATASETS, help="default auto: mnist or, where it cannot be had, synthetic")
    add("--data-dir", type=Path, metavar="DIR", help="where the dataset's files are")
    add("--offline", action="store_const", const=True, help="never touch the network")
    add("--device", choices=DEVICES, help="default auto: mps where there is one, else cpu")
    add("--threads", type=int, metavar="N", help="CPU threads (default: the cores that this process may use)")


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--checkpoint", type=Path, metavar="PATH", help="save the run here at its end, and on Ctrl-C")
    add("--checkpoint-every", type=int, metavar="N", help="save the checkpoint every N steps too")
    resume = (
        "continue this checkpoint's run with its options; it is saved there again unless --checkpoint differs"
    )
    add("--resume", type=Path, metavar="PATH", help=resume)
    add("--plot", type=Path, metavar="PATH", help="draw the curves and the worst mistakes to a PNG file")
    add("--json", action="store_true", help="print one JSON object per event and line to stdout")
    add("--quiet", action="store_true", help="print nothing but errors to stderr")


def parse_config(arguments: argparse.Namespace) -> TrainConfig:
    """Take the checkpoint's or the default options, the preset's over them, and those given over both."""
    own = {"preset", "resume", "plot", "json", "quiet"}
    given = {name: value for name, value in vars(arguments).items() if name not in own and value is not None}
    options = merge({} if arguments.preset is None else preset_options(arguments.preset), given)
    if arguments.resume is not None:
        return resumed_config(arguments.resume, **options)
    return TrainConfig(**options)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; for --help and bad usage argparse raises SystemExit."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    try:
        return run_program(PROGRAM, lambda: _run(arguments))
    except ConfigError as error:
        parser.error(str(error))


def _run(arguments: argparse.Namespace) -> int:
    config = parse_config(arguments)
    if config.checkpoint is not None:
        check_output("checkpoint", config.checkpoint)
    if arguments.plot is not None:
        check_output("plot", arguments.plot)
        plot.require_matplotlib()
    dataset = _load_dataset(config)
    reporters: list[Callable[[Report], None]] = [JsonReporter(config)] if arguments.json else []

    def report(event: Report) -> None:
        for reporter in reporters:
            reporter(event)

    with contextlib.ExitStack() as stack:
        if not arguments.quiet:
            reporters.append(stack.enter_context(TextReporter(config)))
        stop = stack.enter_context(_stop_on_interrupt())
        result = train(config, dataset=dataset, on_step=report, on_event=report, stop=stop)
    if result.interrupted:
        saved = "" if config.checkpoint is None else f", saved to {config.checkpoint}"
        complain(PROGRAM, f"interrupted after step {result.steps}{saved}")
        return INTERRUPTED
    if arguments.plot is not None:
        plot.save_plot(arguments.plot, result, dataset)
    report(result)
    if result.target_reached is False:
        reached, target = f"{result.test_accuracy:.2%}", f"{config.target_accuracy:.2%}"
        complain(PROGRAM, f"the test accuracy is {reached}, short of the target {target}")
        return FAILED
    return DONE


def _load_dataset(config: TrainConfig) -> Dataset:
    """Load the data; that it is not real MNIST is said so that nobody can miss it, however quiet the run."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset = load(config.dataset, data_dir=config.data_dir, offline=config.offline)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    for warning in caught:
        text = str(warning.message).strip()
        if issubclass(warning.category, SyntheticDataWarning):
            line = "*" * 100
            text = f"{line}\n{text}\n{line}"
        complain(PROGRAM, f"warning:\n{text}")
    return dataset


@contextlib.contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl-C was pressed. A second Ctrl-C ends the process at once."""
    pressed = False

    def handle(_signal: int, _frame: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
