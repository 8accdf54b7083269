"""The command `predict`: the digits in pictures, as text or JSON lines."""

import argparse
import io
import re
import sys
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias

from ..picture_files import Picture, PictureError
from ..prediction.predictor import Network, load_network, predict_digits, predict_picture
from ..prediction.reading import read_pictures, read_pictures_from
from ..training.config import DEVICE_CHOICES, MAX_THREADS
from ..user_files import expand_path, reason_of
from .answers import Answer, as_json, format_bars, format_line
from .console import DONE, FAILED, Command, UsageError, complain, require_whole_number
from .drawing import format_pixels
from .log import telling
from .options import add_threads
from .streams import in_one_line, print_line, read_stdin

STDIN = "-"
NO_NETWORK = (
    "no network is given: `mpsmnist train --preset fast --checkpoint digits.safetensors` makes one, "
    "for --checkpoint digits.safetensors"
)

Ask: TypeAlias = Callable[[str, Picture], Answer]  # of a picture and its name


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "images",
        nargs="+",
        type=_image,
        metavar="IMAGE",
        help="a picture of a digit, with any number of pages, or an IDX file of them; - is standard input",
    )
    add(
        "--checkpoint",
        type=expand_path,
        metavar="PATH",
        help="the network, saved by train --checkpoint or mpsmnist.checkpoint.save_weights",
    )
    add("--many", action="store_true", help="read several digits in each picture, in reading order")
    add(
        "--invert",
        action=argparse.BooleanOptionalAction,
        help="whether the digits are dark on light (default: judge by the picture)",
    )
    add("--bars", action="store_true", help="draw all probabilities (default for a single picture)")
    add("--show", action="store_true", help="draw the 28x28 picture that the network saw")
    add("--strict", action="store_true", help="exit with code 1 if an answer is unsure")
    add("--json", action="store_true", help="print one JSON object per picture and line")
    add(
        "--device",
        choices=DEVICE_CHOICES,
        default="auto",
        help="default auto: mps where there is one, else cpu",
    )
    add_threads(parser)


def _image(word: str) -> str | Path:
    if re.match(r"[a-z]+://", word):
        raise argparse.ArgumentTypeError(
            f"{word} is an address: `curl -L {word} | mpsmnist predict -` reads it"
        )
    return word if word == STDIN else expand_path(word)


def _run(arguments: argparse.Namespace, program: str) -> int:
    _check(arguments)
    with telling(program):
        network = load_network(arguments.checkpoint, arguments.device, arguments.threads)
        ask = _asking(network, arguments.invert, arguments.many)
        answers = chain.from_iterable(_answer_file(image, ask, program) for image in arguments.images)
        may_be_single = len(arguments.images) == 1 and not arguments.many
        first = list(islice(answers, 2)) if may_be_single else []
        bars = arguments.bars or len(first) == 1
        return max(_print(answer, arguments, bars, program) for answer in chain(first, answers))


def _check(arguments: argparse.Namespace) -> None:
    require_whole_number("threads", arguments.threads, 1, MAX_THREADS)
    if arguments.checkpoint is None:
        raise UsageError(NO_NETWORK)
    if arguments.json and (arguments.bars or arguments.show):
        raise UsageError("--bars and --show have no place in --json: leave out the one or the other")
    if arguments.images.count(STDIN) > 1:
        raise UsageError("- is given twice, but standard input can be read only once")


def _asking(network: Network, invert: bool | None, many: bool) -> Ask:
    def ask(name: str, picture: Picture) -> Answer:
        if not many:
            prediction = predict_picture(network, name, picture, invert)
            return Answer(name, [prediction], prediction.unsure)
        predictions = predict_digits(network, name, picture, invert)
        reasons = (
            f"digit {number} of {len(predictions)}: {prediction.unsure}"
            for number, prediction in enumerate(predictions, 1)
            if prediction.unsure is not None
        )
        return Answer(name, predictions, next(reasons, None))

    return ask


def _answer_file(image: str | Path, ask: Ask, program: str) -> Iterator[Answer | PictureError]:
    """Answer each picture of a file. Of several, blank ones are told and skipped, unless all are."""
    file_name = "stdin" if image == STDIN else str(image)
    answered, skipped = False, 0
    try:
        for name, picture in _read(image):
            try:
                answer = ask(name, picture)
            except PictureError as error:  # nothing is there
                if name != file_name:
                    complain(program, in_one_line(f"{name}: skipped: {error}"))
                    skipped += 1
                    continue
                answer = Answer(name, [], str(error))
            yield answer
            answered = True
    except PictureError as error:
        yield error
        answered = True
    if not answered:
        yield Answer(file_name, [], f"all {skipped} pictures are blank")


def _read(image: str | Path) -> Iterator[tuple[str, Picture]]:
    if image != STDIN:
        yield from read_pictures(image)
        return
    try:
        data = read_stdin()
    except OSError as error:
        raise PictureError(f"stdin: {reason_of(error)}") from error
    yield from read_pictures_from(io.BytesIO(data), "stdin")


def _print(answer: Answer | PictureError, arguments: argparse.Namespace, bars: bool, program: str) -> int:
    """Print an answer, or what is wrong with a file; returns the exit code."""
    if isinstance(answer, PictureError):
        complain(program, in_one_line(str(answer)))
        return FAILED
    if arguments.json:
        print_line(as_json(answer, arguments.many))
    else:
        print_line(format_line(answer))
        for prediction in answer.predictions:
            if arguments.show:
                print_line("\n".join(format_pixels(prediction.pixels, getattr(sys.stdout, "encoding", None))))
            if bars:
                print_line("\n".join(format_bars(prediction)))
    return FAILED if arguments.strict and answer.unsure is not None else DONE


COMMAND = Command(
    description="Read the digits in pictures: PNG, JPEG and so on, HEIC with pillow-heif, or IDX files.",
    epilog="exit codes: 0 done; 1 picture, checkpoint or device failed, or an answer is unsure and --strict; "
    "2 bad usage; 130 interrupted",
    add_options=_add_options,
    run=_run,
)
