"""mpsmnist training a whole run: the package's own loop."""

from __future__ import annotations

from mpsmnist.train import train

from .training import Point, TrainingRun

PEER = {
    "imports": "mpsmnist",
    "install": "pip install .",
    "distributions": ("mpsmnist", "numpy"),
    "operations": ("train",),
    "forms": {"mpsmnist": {"device": "cpu", "class_name": "MpsmnistRun"}},
}


class MpsmnistRun(TrainingRun):
    """Its seconds include drawing and gathering the batches."""

    def evaluations(self) -> list[Point]:
        """Those of the events of the loop."""
        result = train(self._config, dataset=self._dataset)
        return [Point(event.step, event.train_seconds, event.accuracy) for event in result.evaluations]
