"""Several processes train one network: torchrun --nproc-per-node 2 torch_distributed.py."""

import numpy as np
import torch
import torch.distributed as dist

import mpsmnist
from mpsmnist.data import load

BATCH = 64  # images a step, of which each rank takes a share


def add_up(part: np.ndarray) -> dist.Work:
    """Begin to add up over all ranks, in place; step() waits for it."""
    return dist.all_reduce(torch.from_numpy(part), async_op=True)


dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
digits = load()
trainer = mpsmnist.Trainer(learning_rate=0.05, momentum=0.9, init="he")  # one seed: all begin alike
generator = np.random.default_rng(0)  # and draw the same batches
for _ in range(100):
    rows = generator.integers(0, len(digits.train_images), BATCH)[rank::size]
    trainer.step(
        digits.train_images[rows], digits.train_labels[rows], all_reduce=add_up, global_batch_size=BATCH
    )

if rank == 0:
    accuracy = trainer.evaluate(digits.test_images, digits.test_labels).accuracy
    print(f"{size} ranks: test accuracy {accuracy:.1%}")
dist.destroy_process_group()
