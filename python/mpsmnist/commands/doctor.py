"""The command `doctor`: a report on this machine's devices, made to be pasted into a bug report."""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from ..examination import Finding, describe_machine, examine
from .console import DONE, FAILED, Command, UsageError
from .streams import print_line


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help=(
            'examine only what matches, such as "mps/gradients/*"; may be given several times; '
            "a device always has to open first"
        ),
    )


def _run(arguments: argparse.Namespace, _program: str) -> int:
    report = _report_json if arguments.json else _report_text
    # What is being done, on a terminal.
    with tqdm(bar_format="{desc}", leave=False, dynamic_ncols=True, disable=None) as line:
        try:
            findings = examine(arguments.only or "*", on_progress=line.set_description_str)
        except ValueError as error:
            raise UsageError(str(error)) from None
        return report(findings, line.clear)


def _report_json(findings: Iterator[Finding], _clear: Callable[[], object]) -> int:
    found = list(findings)
    report = {
        "machine": describe_machine(),
        "findings": [asdict(finding) for finding in found],
        "checked": _checked(found),
        "agreed": _agreed(found),
    }
    print_line(json.dumps(_finite(report), allow_nan=False))
    return DONE if _agreed(found) else FAILED


def _report_text(findings: Iterator[Finding], clear: Callable[[], object]) -> int:
    for name, value in describe_machine().items():
        print_line(f"{name}: {value}")
    found = []
    for finding in findings:
        found.append(finding)
        clear()  # the terminal's line for this one
        print_line(f"{finding.verdict:4}  {finding.id}  {finding.name}: {finding.detail}")
    print_line(_conclusion(found))
    return DONE if _agreed(found) else FAILED


def _checked(findings: list[Finding]) -> list[str]:
    """Return the devices of which a check passed or failed: of one that is not there, none does."""
    return list(dict.fromkeys(finding.device for finding in findings if finding.verdict != "info"))


def _agreed(findings: list[Finding]) -> bool:
    return bool(_checked(findings)) and all(finding.verdict != "FAIL" for finding in findings)


def _conclusion(findings: list[Finding]) -> str:
    if any(finding.verdict == "FAIL" for finding in findings):
        return "Some checks FAILED: please send this text in a bug report."
    match _checked(findings):
        case []:
            return "Nothing was checked."
        case ["cpu"]:
            return "Only the CPU was checked: it agrees with itself."
    return "All devices agree."


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
        "It should take less than two minutes on a Mac, where it has never run; with the CPU alone it takes\n"
        "about 20 seconds, and minutes where the GPU is the slow model that the project's own tests use.\n"
        "exit codes: 0 what was checked agrees; 1 a check failed, or nothing could be checked; 2 bad usage;\n"
        "130 interrupted, 143 and 129 by SIGTERM and SIGHUP"
    ),
    add_options=_add_options,
    run=_run,
)
