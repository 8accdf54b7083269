"""The command `predict`: the digits in pictures, as text or JSON lines."""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from .._core import Trainer
from ..prediction.predictor import Prediction, load_trainer, predict_picture
from ..prediction.reading import PictureError, read_pictures
from ..training.config import DEVICE_CHOICES, MAX_THREADS
from ..user_files import expand_path
from .console import DONE, FAILED, Command, complain, require_whole_number
from .streams import print_line

BAR = 40  # characters of a probability of 1


def format_prediction(prediction: Prediction) -> str:
    """Draw the probabilities as a bar chart in text."""
    note = " (dark on light: inverted)" if prediction.inverted else ""
    lines = [f"{prediction.image}: {prediction.digit}{note}"]
    for digit, probability in enumerate(prediction.probabilities):
        bar = "#" * round(BAR * probability)
        lines.append(f"  {digit:2} {probability:7.2%} {bar}".rstrip())
    return "\n".join(lines)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "images",
        nargs="+",
        type=expand_path,
        metavar="IMAGE",
        help="a picture of one digit, or an IDX file of them",
    )
    add(
        "--checkpoint",
        type=expand_path,
        metavar="PATH",
        required=True,
        help="the network, saved by train --checkpoint",
    )
    add(
        "--invert",
        action=argparse.BooleanOptionalAction,
        help="whether the digits are dark on light (default: judge by the border)",
    )
    add("--json", action="store_true", help="print one JSON object per picture and line")
    add(
        "--device",
        choices=DEVICE_CHOICES,
        default="auto",
        help="default auto: mps where there is one, else cpu",
    )
    add("--threads", type=int, metavar="N", help="CPU threads (default: the cores that this process may use)")


def _run(arguments: argparse.Namespace, program: str) -> int:
    require_whole_number("threads", arguments.threads, 1, MAX_THREADS)
    trainer = load_trainer(arguments.checkpoint, arguments.device, arguments.threads)
    code = DONE
    for result in _predict_all(trainer, arguments.images, arguments.invert):
        if isinstance(result, PictureError):
            complain(program, result)
            code = FAILED
        else:
            print_line(json.dumps(result._asdict()) if arguments.json else format_prediction(result))
    return code


def _predict_all(
    trainer: Trainer, paths: Sequence[Path], invert: bool | None
) -> Iterator[Prediction | PictureError]:
    """Go on to the next picture after one that cannot be read."""
    for path in paths:
        try:
            for name, picture in read_pictures(path):
                try:
                    yield predict_picture(trainer, name, picture, invert)
                except PictureError as error:
                    yield PictureError(f"{name}: {error}")
        except PictureError as error:
            yield error


COMMAND = Command(
    description="Read the digits in pictures: PNG, JPEG and so on, or IDX files, plain or gzipped.",
    epilog="exit codes: 0 done; 1 picture, checkpoint or device failed; 2 bad usage; 130 interrupted",
    add_options=_add_options,
    run=_run,
)
