"""The command `doctor`: a report on this machine's devices, made to be pasted into a bug report."""

import argparse
import faulthandler
import json
import sys
from dataclasses import asdict

from .console import DONE, FAILED, Command
from .examination import Finding, describe_machine, examine
from .streams import print_line


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")


def _run(arguments: argparse.Namespace, _program: str) -> int:
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)  # a graph compiler may abort the process: this names the check
    return _report_json() if arguments.json else _report_text()


def _report_json() -> int:
    findings = list(examine())
    agreed = _agreed(findings)
    machine = describe_machine()
    print_line(json.dumps({"machine": machine, "findings": [asdict(f) for f in findings], "agreed": agreed}))
    return DONE if agreed else FAILED


def _report_text() -> int:
    for name, value in describe_machine().items():
        print_line(f"{name}: {value}")
    findings = []
    for finding in examine():
        findings.append(finding)
        print_line(f"{finding.verdict:4}  {finding.device:3}  {finding.name}: {finding.detail}")
    agreed = _agreed(findings)
    print_line(
        "All devices agree." if agreed else "Some checks FAILED: please send this text in a bug report."
    )
    return DONE if agreed else FAILED


def _agreed(findings: list[Finding]) -> bool:
    return all(finding.verdict != "FAIL" for finding in findings)


COMMAND = Command(
    description="Check that this machine's devices compute the right results, and how fast they are.",
    epilog="exit codes: 0 all devices agree; 1 a check failed; 2 bad usage; 130 interrupted",
    add_options=_add_options,
    run=_run,
)
