"""How much is examined."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """Sizes and numbers of steps. The default takes less than two minutes on a Mac's GPU, we expect."""

    sizes: tuple[int, ...] = (1, 2, 3, 16, 17, 64, 256)  # batch sizes of gradients and predictions
    classes: tuple[int, ...] = (2, 10, 47)
    batch_size: int = 16  # of the checks that are about something else
    training_steps: int = 20
    flight_steps: int = 64
    latency_sizes: tuple[int, ...] = (1, 16, 64, 256)
    latency_steps: int = 30
    memory_steps: int = 500
    silence: float = 60.0  # seconds without a word from a child process that make a hang
