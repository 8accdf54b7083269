"""`python -m mpsmnist` is the command `mpsmnist`."""

import sys

from .commands.main import main

if __name__ == "__main__":
    sys.exit(main(program="python -m mpsmnist"))
