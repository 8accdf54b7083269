"""The command `doctor`: a report on this machine's devices, made to be pasted into a bug report."""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fnmatch import fnmatch
from typing import Any

from tqdm import tqdm

from ..examination import Extent, Finding, catalogue, describe_machine, examine
from .console import DONE, FAILED, Command, UsageError
from .streams import print_line


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        default="*",
        help='examine only what matches, such as "mps/gradients/*"; a device always has to open first',
    )


def _run(arguments: argparse.Namespace, _program: str) -> int:
    ids = [check.id for check in catalogue(Extent())]
    chosen = [id_ for id_ in ids if fnmatch(id_, arguments.only)]
    if not chosen:
        raise UsageError(f"--only {arguments.only} matches no check; there are {', '.join(ids)}")
    report = _report_json if arguments.json else _report_text
    # What is being done, on a terminal.
    with tqdm(bar_format="{desc}", leave=False, dynamic_ncols=True, disable=None) as line:
        return report(examine(arguments.only, on_progress=line.set_description_str), line.clear)


def _report_json(findings: Iterator[Finding], _clear: Callable[[], object]) -> int:
    found = list(findings)
    agreed = _agreed(found)
    report = {
        "machine": describe_machine(),
        "findings": [asdict(finding) for finding in found],
        "agreed": agreed,
    }
    print_line(json.dumps(_finite(report), allow_nan=False))
    return DONE if agreed else FAILED


def _report_text(findings: Iterator[Finding], clear: Callable[[], object]) -> int:
    for name, value in describe_machine().items():
        print_line(f"{name}: {value}")
    found = []
    for finding in findings:
        found.append(finding)
        clear()  # the terminal's line for this one
        print_line(f"{finding.verdict:4}  {finding.id}  {finding.name}: {finding.detail}")
    agreed = _agreed(found)
    print_line(
        "All devices agree." if agreed else "Some checks FAILED: please send this text in a bug report."
    )
    return DONE if agreed else FAILED


def _agreed(findings: list[Finding]) -> bool:
    return all(finding.verdict != "FAIL" for finding in findings)


def _finite(value: Any) -> Any:
    """Return the value with "nan", "inf" and "-inf" for what JSON has no numbers for."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


COMMAND = Command(
    description="Check that this machine's devices compute the right results, and how fast they are.",
    epilog=(
        "It should take less than two minutes on a Mac, where it has never run, and longer without a GPU.\n"
        "exit codes: 0 all devices agree; 1 a check failed; 2 bad usage; 130 interrupted"
    ),
    add_options=_add_options,
    run=_run,
)
