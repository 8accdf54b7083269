"""The child process that runs checks.

A graph compiler or a driver may abort a process or never return. The parent tells what became of this one.
"""

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from multiprocessing.connection import Connection

from .checks import catalogue
from .extent import Extent


def main() -> None:
    """Run the checks whose ids follow the descriptor to answer on and the extent as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it, wherever it is
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    descriptor, extent_json, *ids = sys.argv[1:]
    extent = Extent(**json.loads(extent_json))
    checks = {check.id: check for check in catalogue(extent)}
    with Connection(int(descriptor), readable=False) as answers:

        def send(**message: object) -> None:
            answers.send_bytes(json.dumps(message).encode())

        for id_ in ids:
            send(doing="")
            finding = checks[id_].run(extent, lambda doing: send(doing=doing))
            send(finding=asdict(finding))


def _end_with_the_parent() -> None:
    """Wait for the end of stdin, which the parent holds open; a parent that is killed cannot end a child."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
