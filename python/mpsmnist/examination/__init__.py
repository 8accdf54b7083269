"""What the doctor examines: whether this machine's devices compute the right results, and how fast they are.

Every device is compared with the CPU engine, from the same weights and batches; the CPU engine with itself.

finding.py       a line of the report, and the verdicts
extent.py        how much is examined
subjects.py      the trainers and batches that checks use, and how far two results are apart
numbers.py       checks of numbers: weights, gradients, predictions, steps
ties.py          the share of the gradient that each of several equal maxima gets
flight.py        checks of steps in flight: `run` and `step_async` against `step`, and repeatability
measurements.py  time and memory
machine.py       facts about the machine
checks.py        every check, with its id
child.py         the child process that runs checks
runner.py        what starts the children and turns an abort or a hang into a finding
"""

from .checks import catalogue
from .extent import Extent
from .finding import Finding
from .machine import describe_machine
from .runner import examine

__all__ = ["Extent", "Finding", "catalogue", "describe_machine", "examine"]
