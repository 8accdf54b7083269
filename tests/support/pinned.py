"""Ten losses of each of several runs, from the oracle.

Print them anew with `PYTHONPATH=tests python -m support.pinned`.
"""

from __future__ import annotations

from typing import NamedTuple

from support import examples, reference

BATCH_SIZE = 16
STEPS = 10


class Run(NamedTuple):
    init: str
    learning_rate: float
    momentum: float


LOSSES: dict[Run, list[float]] = {
    Run("uniform", 0.01, 0.0): [
        13.768026215,
        41.165582531,
        17.557391666,
        6.311372285,
        4.493027357,
        4.351280850,
        4.876818918,
        0.983176077,
        1.124875678,
        0.238882304,
    ],
    Run("he", 0.02, 0.0): [
        2.313543214,
        2.317155049,
        1.368494017,
        0.626404924,
        1.303434089,
        1.063109923,
        0.662555555,
        0.509328381,
        0.379253282,
        0.331152875,
    ],
    Run("he", 0.02, 0.9): [
        2.313543214,
        2.317155049,
        1.203529187,
        0.541597764,
        1.695840973,
        0.375911151,
        0.525618653,
        0.325340177,
        0.523706255,
        0.048156889,
    ],
}


def batch(step: int) -> tuple[reference.Array, reference.Array]:
    """The images and labels of one step, the same for every run."""
    return examples.discs(BATCH_SIZE, seed=100 + step)


def oracle_losses(run: Run, steps: int = STEPS) -> list[float]:
    """What the float64 model finds in the first steps of a run."""
    initial = reference.initial_parameters(seed=examples.TRAINER_SEED, init=run.init)
    oracle = reference.Sgd(initial, run.learning_rate, run.momentum)
    return [oracle.step(*batch(step)) for step in range(steps)]


if __name__ == "__main__":
    for run in LOSSES:
        print(f'    Run("{run.init}", {run.learning_rate}, {run.momentum}): [')
        for loss in oracle_losses(run):
            print(f"        {loss:.9f},")
        print("    ],")
