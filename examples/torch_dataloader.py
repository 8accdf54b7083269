"""PyTorch's DataLoader feeds a Trainer: its tensors are not copied on the way in."""

import torch
from torch.utils.data import DataLoader, TensorDataset

import mpsmnist
from mpsmnist.data import load

digits = load()
images, labels = torch.from_numpy(digits.train_images[:6400]), torch.from_numpy(digits.train_labels[:6400])
loader = DataLoader(TensorDataset(images, labels), batch_size=32, shuffle=True)
trainer = mpsmnist.Trainer(learning_rate=0.05, momentum=0.9, init="he")
for batch_images, batch_labels in loader:
    trainer.step(batch_images, batch_labels)

print(f"test accuracy {trainer.evaluate(digits.test_images, digits.test_labels).accuracy:.1%}")
