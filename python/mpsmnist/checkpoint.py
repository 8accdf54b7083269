"""Save and load checkpoints, with all that a run needs to continue, and weights alone, for predictions.

trainer = mpsmnist.Trainer()
...
mpsmnist.checkpoint.save_weights("digits.safetensors", trainer)  # for mpsmnist predict --checkpoint
"""

from .network import parameter_shapes
from .training.checkpoint import FORMAT, Checkpoint, SavedWeights, fingerprint, load, load_weights, save
from .training.weights import save_weights

__all__ = [
    "FORMAT",
    "Checkpoint",
    "SavedWeights",
    "fingerprint",
    "load",
    "load_weights",
    "parameter_shapes",
    "save",
    "save_weights",
]
