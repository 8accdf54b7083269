"""Read the digits in pictures: `mpsmnist predict IMAGE... --checkpoint PATH`, or from Python.

from mpsmnist.predict import load_network, predict_picture

network = load_network("digits.safetensors")
print(predict_picture(network, "a drawing", pixels).digit)
"""

import sys
from collections.abc import Sequence

from .commands.main import run_subcommand

if __name__ == "__main__":  # before the other imports: the command does its own, where Ctrl-C is handled
    sys.exit(run_subcommand("predict", "python -m mpsmnist.predict"))

from .commands.answers import format_prediction
from .prediction.predictor import Network, Prediction, load_network, predict_digits, predict_picture

__all__ = [
    "Network",
    "Prediction",
    "format_prediction",
    "load_network",
    "main",
    "predict_digits",
    "predict_picture",
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_subcommand("predict", "python -m mpsmnist.predict", argv)
