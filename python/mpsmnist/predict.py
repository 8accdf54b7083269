"""Tell which digits are on pictures: `python -m mpsmnist.predict IMAGE... --checkpoint PATH`."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._core import Trainer, __version__
from .checkpoint import load
from .console import DONE, FAILED, complain, run_program
from .pictures import PictureError, prepare, read_pictures
from .recipe import DEVICES

__all__ = ["Prediction", "format_prediction", "load_trainer", "main", "predict_picture"]

PROGRAM = "python -m mpsmnist.predict"
BAR = 40  # characters of a probability of 1


class Prediction(NamedTuple):
    """What the network makes of one picture."""

    image: str
    digit: int
    probabilities: list[float]
    inverted: bool  # the picture was dark on light


def load_trainer(path: Path, device: str = "auto", threads: int | None = None) -> Trainer:
    """Make a Trainer with the weights of a checkpoint. Raises CheckpointError and DeviceError."""
    saved = load(path)
    trainer = Trainer(device=device, num_classes=saved.num_classes, threads=threads)
    trainer.load_state_dict(saved.state)
    return trainer


def predict_picture(
    trainer: Trainer, name: str, picture: NDArray[np.uint8], invert: bool | None = None
) -> Prediction:
    """Classify a picture of one digit, uint8 (height, width). Raises PictureError if it is blank."""
    digit = prepare(picture, invert)
    probabilities = trainer.predict(digit.pixels[np.newaxis])[0]
    return Prediction(name, int(probabilities.argmax()), probabilities.tolist(), digit.inverted)


def format_prediction(prediction: Prediction) -> str:
    """Draw the probabilities as a bar chart of text."""
    note = " (dark on light: inverted)" if prediction.inverted else ""
    lines = [f"{prediction.image}: {prediction.digit}{note}"]
    for digit, probability in enumerate(prediction.probabilities):
        bar = "#" * round(BAR * probability)
        lines.append(f"  {digit:2} {probability:7.2%} {bar}".rstrip())
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; for --help and bad usage argparse raises SystemExit."""
    parser = _build_parser()
    arguments = parser.parse_args(argv)
    if arguments.threads is not None and arguments.threads < 1:
        parser.error(f"argument --threads: {arguments.threads} is not above 0")
    return run_program(PROGRAM, lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    trainer = load_trainer(arguments.checkpoint, arguments.device, arguments.threads)
    code = DONE
    for result in _predict_all(trainer, arguments.images, arguments.invert):
        if isinstance(result, PictureError):
            complain(PROGRAM, result)
            code = FAILED
        else:
            print(json.dumps(result._asdict()) if arguments.json else format_prediction(result))
    return code


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Tell which digits are on pictures: PNG, JPEG and so on, or IDX files, plain or gzipped.",
        epilog="exit codes: 0 done; 1 a picture, the checkpoint or the device failed; 2 bad usage",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "images", nargs="+", type=Path, metavar="IMAGE", help="a picture of one digit, or an IDX file of them"
    )
    add("--checkpoint", type=Path, metavar="PATH", required=True, help="saved by mpsmnist.train --checkpoint")
    add(
        "--invert",
        action=argparse.BooleanOptionalAction,
        help="dark on light, or not (default: look at the border)",
    )
    add("--json", action="store_true", help="print one JSON object per picture and line")
    add("--device", choices=DEVICES, default="auto", help="default auto: mps where there is one, else cpu")
    add(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads (default: the cores that this process may use)",
    )
    add("--version", action="version", version=f"mpsmnist {__version__}")
    return parser


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


if __name__ == "__main__":
    sys.exit(main())
