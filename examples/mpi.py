"""Several processes train one network: mpirun -n 2 python -m mpi4py mpi.py."""

import numpy as np
from mpi4py import MPI

import mpsmnist
from mpsmnist.data import load

BATCH = 64  # images a step, of which each rank takes a share

ranks = MPI.COMM_WORLD
digits = load()
trainer = mpsmnist.Trainer(learning_rate=0.05, momentum=0.9, init="he")  # one seed: all begin alike
generator = np.random.default_rng(0)  # and draw the same batches
for _ in range(100):
    rows = generator.integers(0, len(digits.train_images), BATCH)[ranks.rank :: ranks.size]
    trainer.step(
        digits.train_images[rows],
        digits.train_labels[rows],
        all_reduce=lambda part: ranks.Allreduce(MPI.IN_PLACE, part),
        global_batch_size=BATCH,
    )

if ranks.rank == 0:
    accuracy = trainer.evaluate(digits.test_images, digits.test_labels).accuracy
    print(f"{ranks.size} ranks: test accuracy {accuracy:.1%}")
