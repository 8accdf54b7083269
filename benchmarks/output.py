"""What every benchmark does with its result: --json keeps it, --plot draws it."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

Result = dict[str, Any]


def measure_and_save(
    parse: Callable[[Sequence[str] | None], Namespace],
    measure: Callable[[Namespace], Result],
    arguments: Sequence[str] | None,
) -> Result:
    """Measure as the arguments say, with them as `options.command`, and write the files that they ask for."""
    options = parse(arguments)
    options.command = list(sys.argv[1:] if arguments is None else arguments)
    result = measure(options)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if getattr(options, "plot", None) is not None:
        from plots import draw  # noqa: PLC0415 (matplotlib is optional)

        draw(result, options.plot)
    return result
