"""How the gradient of fc0's weights goes from rank to rank: added up, or as its factors."""

_GRADIENT_BYTES = 4 * 3136 * 1024
_FACTOR_BYTES = 4 * (3136 + 1024)  # of an image
_IMAGE_SECONDS = 50e-6

NETWORK = 1.25e9
"""Bytes that a rank sends in a second to other machines: 10 Gbit/s."""
MEMORY = 4e9
"""The same within one machine: 2 to 8 ranks took 3 to 10 ms to add up 13 MB."""


def prefers_factors(batch_size: int, ranks: int, bytes_per_second: float) -> bool:
    """Tell whether gathering the factors takes less time than adding up the gradient.

    Of a batch of N images on R ranks, in a ring, a rank sends

    - of the gradient, which goes round twice, 2 * 12.8 MB * (R - 1) / R;
    - of the factors of its N / R images, which go to each of the others, 16,640 bytes * N * (R - 1) / R.

    With the factors it makes the gradient of the others' N * (R - 1) / R images, too: 2 * 3136 * 1024
    operations each, about half of which have an input of 0 and are skipped. These 3.2 million take
    c = 50 microseconds on two threads with AVX-512. At B bytes a second, (R - 1) / R cancels out of "the
    factors take less time":

        N * (16,640 bytes + c * B) < 25.7 MB

    Bytes alone are fewer for N < 1544; c makes that N < 1123 at 1 Gbit/s, 324 at 10, 118 within a machine and
    40 at 100. What else speaks for the factors is left out: the gradient need not be written to memory and
    read again. Nothing is timed, and threads do not count: a run has the same bits when it is repeated.

    Args:
        batch_size: of all ranks together.
        ranks: their number.
        bytes_per_second: NETWORK or MEMORY.
    """
    per_image = _FACTOR_BYTES + _IMAGE_SECONDS * bytes_per_second
    return ranks > 1 and batch_size * per_image < 2 * _GRADIENT_BYTES
