"""Several learning rates at once: in threads, as a Trainer computes without the GIL, and in processes."""

from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np

import mpsmnist
from mpsmnist.data import load

RATES = (0.003, 0.01, 0.03, 0.1)


def accuracy(learning_rate: float) -> float:
    """Train for a hundred steps on one core."""
    digits = load()
    trainer = mpsmnist.Trainer("cpu", learning_rate=learning_rate, momentum=0.9, init="he", threads=1)
    rows = np.random.default_rng(0).integers(0, len(digits.train_images), (100, 32))
    trainer.run(digits.train_images, digits.train_labels, rows)
    return trainer.evaluate(digits.test_images, digits.test_labels).accuracy


def sweep(executor: Executor) -> None:
    """Print the test accuracy of each learning rate."""
    with executor:
        for rate, reached in zip(RATES, executor.map(accuracy, RATES), strict=True):
            print(f"{type(executor).__name__}: learning rate {rate}: test accuracy {reached:.1%}")


if __name__ == "__main__":
    sweep(ThreadPoolExecutor(2))
    sweep(ProcessPoolExecutor(2, mp_context=get_context("spawn")))
