"""Save and load checkpoints: safetensors files that hold all that a run needs to continue."""

from .network import parameter_shapes
from .training.checkpoint import FORMAT, Checkpoint, fingerprint, load, save

__all__ = ["FORMAT", "Checkpoint", "fingerprint", "load", "parameter_shapes", "save"]
