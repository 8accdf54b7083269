"""A training loop of one's own, whose network `mpsmnist predict --checkpoint mine.safetensors` reads."""

import numpy as np

import mpsmnist
from mpsmnist.data import load

digits = load()
trainer = mpsmnist.Trainer(learning_rate=0.05, momentum=0.9, init="he")
generator = np.random.default_rng(0)
for step in range(200):
    rows = generator.integers(0, len(digits.train_images), 32)
    loss = trainer.step(digits.train_images[rows], digits.train_labels[rows])
    if step % 50 == 0:
        print(f"step {step}: loss {loss:.3f}")

print(f"test accuracy {trainer.evaluate(digits.test_images, digits.test_labels).accuracy:.1%}")
mpsmnist.checkpoint.save_weights("mine.safetensors", trainer, classes=digits.classes)
