"""The command `doctor`: its report as text and as JSON, and the lines that docs/verification.md refers to."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import inspect
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mpsmnist
from mpsmnist.commands import doctor
from mpsmnist.doctor import main
from mpsmnist.examination import Extent, Finding, catalogue, examine, machine
from support.commands import Call
from support.doctors import QUICK

VERIFICATION = Path(__file__).parents[2] / "docs" / "verification.md"
GOOD = Finding("cpu/ties", "cpu", "pooling ties", "ok", "fine", {"shares": [1.0]})
ABSENT = Finding("mps/device", "mps", "device", "info", "nothing to check")
BAD = Finding("mps/step", "mps", "one step", "FAIL", "wrong", {"errors": {"loss": float("nan")}})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", functools.partial(examine, extent=QUICK))


def find(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: iter(findings))


@pytest.mark.usefixtures("quick")
def test_the_devices_here_agree(call: Call) -> None:
    code, out, err = call(main, ["--json"])
    report = json.loads(out)
    assert [finding for finding in report["findings"] if finding["verdict"] == "FAIL"] == []
    assert (code, err, report["agreed"]) == (0, "", True)
    assert sorted(report["checked"]) == sorted(mpsmnist.devices())
    assert report["machine"]["mpsmnist"] == mpsmnist.__version__
    expected = [check.id for check in catalogue(QUICK)]
    if "mps" not in mpsmnist.devices():
        expected = [id_ for id_ in expected if id_.startswith("cpu/") or id_ == "mps/device"]
    assert [finding["id"] for finding in report["findings"]] == expected
    for finding in report["findings"]:
        assert finding["device"] == finding["id"].partition("/")[0]
        assert finding["values"], finding["id"]
        if {"errors", "difference", "shares"} & finding["values"].keys():
            assert "tolerance" in finding["values"], finding["id"]
        if "errors" in finding["values"]:
            assert "; at most 1e-0" in finding["detail"], finding["id"]


def test_text_names_the_machine_and_ends_with_the_verdict(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    find(monkeypatch, GOOD)
    code, out, _ = call(main, [])
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == f"mpsmnist: {mpsmnist.__version__}"
    assert lines[-2] == "ok    cpu/ties  pooling ties: fine"
    for device, facts in mpsmnist.describe_devices().items():
        expected = [f"{device} {name.replace('_', ' ')}: {value}" for name, value in facts.items()]
        assert [line for line in lines if line.startswith(f"{device} ")] == expected


@pytest.mark.parametrize(
    ("findings", "words", "checked"),
    [
        ([GOOD, dataclasses.replace(GOOD, device="mps")], "All devices agree.", ["cpu", "mps"]),
        ([GOOD, ABSENT], "Only the CPU was checked: it agrees with itself.", ["cpu"]),
        ([ABSENT], "Nothing was checked.", []),
        ([GOOD, BAD], "Some checks FAILED: please send this text in a bug report.", ["cpu", "mps"]),
    ],
)
def test_the_last_line_says_what_was_checked(
    call: Call, monkeypatch: pytest.MonkeyPatch, findings: list[Finding], words: str, checked: list[str]
) -> None:
    good = bool(checked) and BAD not in findings
    find(monkeypatch, *findings)
    code, out, _ = call(main, [])
    assert (code, out.splitlines()[-1]) == (0 if good else 1, words)
    code, out, _ = call(main, ["--json"])
    report = json.loads(out)
    assert (code, report["checked"], report["agreed"]) == (0 if good else 1, checked, good)


@pytest.mark.skipif("mps" in mpsmnist.devices(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_not_said_to_agree(call: Call) -> None:
    code, out, _ = call(main, ["--only", "mps/*"])
    *_, reason, last = out.splitlines()
    assert (code, last) == (1, "Nothing was checked.")
    assert reason.startswith("info  mps/device  device: nothing to check: ")
    assert mpsmnist.describe_devices()["mps"]["unavailable"] in reason


def test_a_failure_asks_for_a_report(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    find(monkeypatch, GOOD, BAD)
    code, out, _ = call(main, [])
    assert code == 1
    assert "FAIL  mps/step  one step: wrong\n" in out
    assert out.endswith("please send this text in a bug report.\n")


def test_json_has_no_numbers_that_json_lacks(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    find(monkeypatch, BAD)
    code, out, _ = call(main, ["--json"])
    assert code == 1
    report = json.loads(out, parse_constant=pytest.fail)
    assert report["agreed"] is False
    assert report["findings"][0]["values"] == {"errors": {"loss": "nan"}}


@pytest.mark.usefixtures("quick")
def test_one_check_alone(call: Call) -> None:
    code, out, _ = call(main, ["--json", "--only", "cpu/t*"])
    assert code == 0
    assert [finding["id"] for finding in json.loads(out)["findings"]] == [
        "cpu/device",
        "cpu/ties",
        "cpu/threads",
    ]


def test_a_pattern_without_checks_is_bad_usage(call: Call) -> None:
    code, _, err = call(main, ["--only", "mps/gradient"])
    assert code == 2
    assert "--only is 'mps/gradient', which matches no check; did you mean mps/gradients/1 or " in err
    assert max(len(line) for line in err.splitlines()) < 150
    assert {check.id for check in catalogue(Extent())} <= set(err.split())


@pytest.mark.usefixtures("quick")
def test_patterns_add_up(call: Call) -> None:
    code, out, _ = call(main, ["--json", "--only", "cpu/ties", "--only", "cpu/th*"])
    assert code == 0
    ids = [finding["id"] for finding in json.loads(out)["findings"]]
    assert ids == ["cpu/device", "cpu/ties", "cpu/threads"]
    assert call(main, ["--only", "cpu/ties", "--only", "cpu/nothing"])[0] == 2


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"only": "nothing"}, ValueError, "only is 'nothing', which matches no check"),
        ({"only": ["cpu/ties", "mps/tie"]}, ValueError, "only is 'mps/tie', .* did you mean mps/ties?"),
        ({"only": []}, ValueError, "only is empty"),
        ({"only": None}, TypeError, "only is None, expected a pattern"),
        ({"only": 3}, TypeError, "only is 3, expected a pattern"),
        ({"only": ["cpu/ties", 3]}, TypeError, "only is .* expected a pattern"),
        ({"extent": 5}, TypeError, "extent is 5, expected an Extent"),
        ({"on_progress": 5}, TypeError, "on_progress is 5, expected a function or None"),
    ],
)
def test_examine_refuses_nonsense_when_it_is_called(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        examine(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"sizes": ()}, ValueError),
        ({"sizes": (1, 0)}, ValueError),
        ({"classes": 5}, TypeError),
        ({"sizes": "12"}, TypeError),
        ({"latency_sizes": (1.5,)}, TypeError),
        ({"batch_size": True}, TypeError),
        ({"training_steps": 0}, ValueError),
        ({"silence": -1}, ValueError),
        ({"silence": float("nan")}, ValueError),
        ({"silence": float("inf")}, ValueError),
        ({"silence": None}, TypeError),
    ],
)
def test_an_extent_of_nothing_is_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=f"{next(iter(arguments))}: .*, expected"):
        Extent(**arguments)


def test_the_signature_of_examine_is_for_people() -> None:
    assert "<function" not in str(inspect.signature(examine))


def test_help_names_every_exit_code(call: Call) -> None:
    code, out, _ = call(main, ["--help"])
    assert code == 0
    epilog = out.rpartition("exit codes: ")[2]
    assert re.findall(r"\b\d+\b", epilog) == ["0", "1", "2", "130", "143", "129"]


@pytest.mark.usefixtures("quick")
def test_a_terminal_shows_what_is_done_and_keeps_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["--only", "cpu/run/0"]) == 0
    lines = [line.split("\r") for line in terminal.getvalue().split("\n")]
    assert any("cpu/run/0 4 steps, two in flight" in shown for line in lines for shown in line)
    kept = [line[-1] for line in lines]
    ids = [line.split()[1] for line in kept if line.startswith("ok  ")]
    assert ids == ["cpu/device", "cpu/run/0"]
    assert kept[-2:] == ["Only the CPU was checked: it agrees with itself.", ""]


def test_a_mac_names_its_system(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"-productVersion": "15.5", "-buildVersion": "24F74"}
    monkeypatch.setattr(machine, "_output", lambda _program, option: told[option])
    for translated, answer in ((True, "yes"), (False, "no")):
        monkeypatch.setattr(machine, "_is_translated", lambda translated=translated: translated)
        assert machine._describe_mac() == {"macOS": "15.5, build 24F74", "Rosetta": answer}


def test_docs_name_lines_that_exist() -> None:
    named = re.findall(r"`((?:cpu|mps)/[^`]+)`", VERIFICATION.read_text(encoding="utf-8"))
    ids = [check.id for check in catalogue(Extent())]
    assert [pattern for pattern in named if not fnmatch.filter(ids, pattern)] == []
    unsettled = [
        id_ for id_ in ids if id_.startswith("mps/") and not any(fnmatch.fnmatch(id_, p) for p in named)
    ]
    assert unsettled == [], "what does it settle?"


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    """As with multiprocessing, whose children import the script that started them."""
    script = tmp_path / "script.py"
    script.write_text(
        "from mpsmnist.doctor import examine\n"
        "for finding in examine('cpu/device'):\n"
        "    print(finding.id, finding.verdict)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "cpu/device ok\n"
