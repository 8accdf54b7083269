"""Draw a training run as a matplotlib figure: `pip install 'mpsmnist[plot]'`.

from mpsmnist.data import load
from mpsmnist.plot import figure
from mpsmnist.train import TrainConfig, train

data = load("mnist")
figure(train(TrainConfig(eval_every=30), dataset=data), data).savefig("run.pdf")
"""

from .training.figure import figure

__all__ = ["figure"]
