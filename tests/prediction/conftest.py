"""A network that was trained for it."""

from __future__ import annotations

import os

import pytest

from mpsmnist.prediction.predictor import Network, load_network
from mpsmnist.train import TrainConfig, train


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """What `train --preset fast` makes of MNIST: 10 s on two cores."""
    if not os.environ.get("MPSMNIST_DATA_DIR"):
        pytest.skip(
            "which pictures are read is tested with MNIST: MPSMNIST_DATA_DIR does not name its folder"
        )
    path = tmp_path_factory.mktemp("network") / "digits.safetensors"
    train(TrainConfig.preset("fast", dataset="mnist", offline=True, device="cpu", checkpoint=path))
    return load_network(path, "cpu")
