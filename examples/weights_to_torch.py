"""Train here, go on in PyTorch, and bring the weights back."""

import numpy as np
import torch

import mpsmnist
from mpsmnist.data import load
from mpsmnist.interop.torch import load_state_dict, to_module

digits = load()
trainer = mpsmnist.Trainer(learning_rate=0.05, momentum=0.9, init="he")
generator = np.random.default_rng(0)
rows = generator.integers(0, len(digits.train_images), (100, 32))
trainer.run(digits.train_images, digits.train_labels, rows)
print(f"here: test accuracy {trainer.evaluate(digits.test_images, digits.test_labels).accuracy:.1%}")

module = to_module(trainer)
optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
for batch in generator.integers(0, len(digits.train_images), (20, 32)):
    images = torch.from_numpy(digits.train_images[batch, None]).float() / 255  # (n, 1, 28, 28)
    labels = torch.from_numpy(digits.train_labels[batch]).long()
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(module(images), labels).backward()
    optimizer.step()

load_state_dict(trainer, module.state_dict())
print(f"and back: test accuracy {trainer.evaluate(digits.test_images, digits.test_labels).accuracy:.1%}")
