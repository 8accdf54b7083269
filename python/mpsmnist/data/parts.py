"""What files of the user's own hold, before anything is made of it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

_ROLE = re.compile(r"(?:^|[^a-z])(train|test|t10k)(?:ing)?(?:$|[^a-z])")


@dataclass(frozen=True)
class Part:
    """The training or the test data, as files have them.

    Attributes:
        images: any numbers; (n, h, w), (n, h, w, 1), (n, 1, h, w), in colour (n, h, w, 3), or (n, k) with
            rows of square images.
        labels: any whole numbers; (n,), (n, 1), QMNIST's (n, 8), or one-hot (n, classes).
        images_name: where the images are, for messages.
        labels_name: where the labels are.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    images_name: str
    labels_name: str


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes:
        train: the training data, or all there are.
        test: the test data, if there are any.
        place: where they were found, for people.
        classes: the classes' names, where the labels do not say them themselves.
    """

    train: Part
    test: Part | None
    place: str
    classes: tuple[str, ...] | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that there are."""
        return (self.train,) if self.test is None else (self.train, self.test)


def role_of(path: Path) -> str | None:
    """Tell by a file's name whether it is for "train" or for "test"; None if it does not say."""
    match = _ROLE.search(path.stem.lower())
    return None if match is None else "train" if match[1] == "train" else "test"
