"""Read the digits in pictures: `mpsmnist predict IMAGE... --checkpoint PATH`, or from Python.

from mpsmnist.predict import load_network, predict_picture, read_pictures

network = load_network("digits.safetensors")
for name, picture in read_pictures("photo.jpg"):
    print(predict_picture(network, name, picture).answer)
"""

import sys
from collections.abc import Sequence

from .commands.main import run_subcommand

if __name__ == "__main__":  # before the other imports: the command does its own, where Ctrl-C is handled
    sys.exit(run_subcommand("predict", "python -m mpsmnist.predict"))

from .commands.answers import format_prediction
from .picture_files import PictureError
from .prediction.predictor import Network, Prediction, load_network, predict_digits, predict_picture
from .prediction.reading import read_pictures

__all__ = [
    "Network",
    "PictureError",
    "Prediction",
    "format_prediction",
    "load_network",
    "main",
    "predict_digits",
    "predict_picture",
    "read_pictures",
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_subcommand("predict", "python -m mpsmnist.predict", argv)
