"""What becomes of a child process of the doctor is a finding, whatever it is; and the other checks go on."""

from __future__ import annotations

import dataclasses
import multiprocessing.spawn
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import mpsmnist
from mpsmnist.examination import Finding, examine
from support.doctors import QUICK

CHECKS = ["cpu/device", "cpu/ties", "cpu/threads", "cpu/repeatable", "cpu/run/0"]
ONLY = "cpu/[!slm]*"  # and cpu/run/0.9, cpu/exit
RETURN = "from mpsmnist.examination.finding import Outcome; return Outcome('ok', 'done', {})"


@pytest.fixture(autouse=True)
def same_python_afterwards() -> Iterator[None]:
    before = multiprocessing.spawn.get_executable()
    yield
    multiprocessing.set_executable(before)


def plant(folder: Path, body: str, more: str = "") -> None:
    """Children run `body` instead of the check cpu/threads."""
    python = folder / "python"
    python.write_text(
        f"#!{sys.executable}\n"
        "import os, sys, time\n"
        "program = sys.argv[3]\n"
        "sys.argv = ['-c', *sys.argv[4:]]\n"
        f"sys.path[:] = {sys.path!r}\n"
        "from mpsmnist.examination import flight\n"
        "def planted(device, extent, say):\n"
        "    say('the planted work')\n"
        f"    {body}\n"
        f"flight.any_threads = planted; {more}\n"
        "exec(program)\n"
    )
    python.chmod(0o755)
    multiprocessing.set_executable(str(python))


def planted_finding(silence: float = 60) -> Finding:
    findings = list(examine(ONLY, dataclasses.replace(QUICK, silence=silence)))
    assert [finding.id for finding in findings] == [*CHECKS, "cpu/run/0.9", "cpu/exit"]
    assert [finding.id for finding in findings if finding.verdict != "ok"] == ["cpu/threads"]
    return findings[2]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("os.write(2, b'MPSGraph.mm:7: failed assertion\\n'); os.abort()",
         "ended by SIGABRT at: the planted work; last words: MPSGraph.mm:7: failed assertion"),
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL at: the planted work"),
        ("os._exit(3)", "ended with exit code 3 at: the planted work"),
        ("os._exit(0)", "ended with exit code 0 at: the planted work"),
    ],
)  # fmt: skip
def test_a_child_that_dies_fails_its_check(tmp_path: Path, body: str, detail: str) -> None:
    plant(tmp_path, body)
    finding = planted_finding()
    assert (finding.verdict, finding.detail) == ("FAIL", detail)


def test_an_unexpected_exception_fails_its_check(tmp_path: Path) -> None:
    plant(tmp_path, "raise RuntimeError('out of luck')")
    assert planted_finding().detail.startswith("ended with exit code 1 at: the planted work; last words: ")
    assert planted_finding().detail.endswith("RuntimeError: out of luck")


def test_only_the_last_words_are_told(tmp_path: Path) -> None:
    plant(tmp_path, "print(*range(100), sep='\\n', flush=True); os.abort()")
    assert planted_finding().detail.endswith("last words: 95 | 96 | 97 | 98 | 99")


def test_last_words_are_short_and_harmless(tmp_path: Path) -> None:
    plant(tmp_path, "print('\\x1b[2J\\a' + 'x' * 300_000, flush=True); os.abort()")
    words = planted_finding().detail.partition("last words: ")[2]
    assert words == "\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}" + "x" * 292 + "..."


def test_a_child_that_hangs_fails_its_check(tmp_path: Path) -> None:
    plant(tmp_path, "time.sleep(1000)")
    assert planted_finding(silence=6).detail == "silent for 6 seconds at: the planted work"


@pytest.mark.parametrize(
    ("end", "detail", "only"),
    [
        ("os.write(2, b'teardown\\n'); os.abort()", "ended by SIGABRT; last words: teardown", "cpu/*[st]"),
        ("os.kill(os.getpid(), 11)", "ended by SIGSEGV", "cpu/threads"),
        ("os._exit(3)", "ended with exit code 3", "cpu/threads"),
        ("time.sleep(1000)", "silent for 6 seconds", "cpu/threads"),
    ],
)
def test_a_child_that_ends_badly_after_its_work_is_told_of(
    tmp_path: Path, end: str, detail: str, only: str
) -> None:
    """As where Metal is taken down: every check has passed by then."""
    end = f"exec({end!r})"
    plant(tmp_path, f"import atexit; atexit.register(lambda: {end}); {RETURN}")
    findings = list(examine(only, dataclasses.replace(QUICK, silence=6)))
    # cpu/exit is told of even where it is not asked for.
    assert [finding.id for finding in findings if finding.verdict != "ok"] == ["cpu/exit"]
    bad_end = f"after cpu/threads: {detail}"
    assert (findings[-1].detail, findings[-1].values) == (bad_end, {"bad_ends": [bad_end]})


def test_of_many_children_that_end_badly_the_first_is_told_of(tmp_path: Path) -> None:
    plant(tmp_path, RETURN, "import atexit; atexit.register(os._exit, 3)")
    *_, finding = examine(["cpu/threads", "cpu/memory"], QUICK)
    assert (finding.id, finding.verdict) == ("cpu/exit", "FAIL")
    first = "after cpu/device: ended with exit code 3"
    assert finding.detail == f"{first}; processes that ended badly later: 2"
    assert [end.split(":")[0] for end in finding.values["bad_ends"]] == [
        "after cpu/device",
        "after cpu/threads",
        "after cpu/memory",
    ]


def test_a_device_that_hangs_again_is_asked_no_more(tmp_path: Path) -> None:
    plant(tmp_path, "time.sleep(1000)", "flight.repeatable = planted")
    findings = {each.id: each for each in examine("cpu/*", dataclasses.replace(QUICK, silence=6))}
    silent = ["cpu/threads", "cpu/repeatable"]
    assert [findings[id_].detail for id_ in silent] == ["silent for 6 seconds at: the planted work"] * 2
    rest = list(findings.values())[list(findings).index("cpu/repeatable") + 1 :]
    assert [finding.id for finding in rest][-1] == "cpu/exit"
    assert len(rest) > 5
    not_run = ("FAIL", "not run: 2 times the device was silent for 6 seconds")
    assert {(finding.verdict, finding.detail) for finding in rest} == {not_run}


def test_signs_of_life_are_no_silence(tmp_path: Path) -> None:
    plant(
        tmp_path,
        f"for i in range(4): time.sleep(2); say('busy')\n    {RETURN}",
    )
    (_, finding) = examine("cpu/threads", dataclasses.replace(QUICK, silence=6))
    assert (finding.verdict, finding.detail) == ("ok", "done")


def test_what_a_check_prints_is_no_answer(tmp_path: Path) -> None:
    plant(
        tmp_path,
        f"print('{{}}' * 100_000, flush=True)\n    {RETURN}",
    )
    (_, finding) = examine("cpu/threads", QUICK)
    assert (finding.verdict, finding.detail) == ("ok", "done")


def test_a_device_that_does_not_open_ends_its_examination(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no Python >&2\nexit 7\n")
    python.chmod(0o755)
    multiprocessing.set_executable(str(python))
    (finding,) = examine("cpu/*", QUICK)
    assert (finding.id, finding.verdict) == ("cpu/device", "FAIL")
    assert finding.detail == "ended with exit code 7; last words: no Python"


@pytest.mark.parametrize("frozen", [False, True])
def test_a_program_without_a_python_says_so(monkeypatch: pytest.MonkeyPatch, frozen: bool) -> None:
    """An embedded Python's executable is empty; a frozen one's is the program, which would start itself."""
    if frozen:
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    else:
        multiprocessing.set_executable("")
    with pytest.raises(mpsmnist.Error, match=r"multiprocessing\.set_executable\(path\)"):
        list(examine("cpu/device", QUICK))


def test_children_find_what_this_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take no modules from the environment or the working directory, but this process's own path."""
    for name in ("numpy", "json", "multiprocessing"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (finding,) = examine("cpu/device", QUICK)
    assert finding.verdict == "ok"


@pytest.mark.parametrize("change", ["sys.path.append(Path('/nowhere'))", "sys.path.insert(0, '')"])
def test_children_find_what_this_process_found(tmp_path: Path, change: str) -> None:
    """Path objects, which Python's imports leave out; and "", which means another folder after a chdir."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')\n")
    script = (
        f"import os, sys; from pathlib import Path; {change}\n"
        f"from mpsmnist.doctor import examine; os.chdir({str(tmp_path)!r})\n"
        "for finding in examine('cpu/device'): print(finding.verdict, finding.detail)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("ok opened")


def test_a_child_ends_with_a_doctor_that_is_killed(tmp_path: Path) -> None:
    """The child has a pipe open, whose reader sees when it ends."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    plant(tmp_path, f"f = open({str(pipe)!r}, 'wb', 0); f.write(b'x'); time.sleep(1000)")
    script = (
        "import multiprocessing\nfrom mpsmnist.doctor import examine\n"
        f"multiprocessing.set_executable({multiprocessing.spawn.get_executable()!r})\n"
        "list(examine('cpu/threads'))\n"
    )
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with subprocess.Popen([sys.executable, "-c", script]) as doctor:
            try:
                assert select.select([reader], [], [], 60)[0]
                assert os.read(reader, 1) == b"x"
            finally:
                doctor.kill()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not ended(reader):
            time.sleep(0.05)
        assert ended(reader), "the child still has the pipe open"
    finally:
        os.close(reader)


def ended(reader: int) -> bool:
    """Whether no process has the pipe open for writing."""
    try:
        return os.read(reader, 1) == b""
    except BlockingIOError:
        return False


def test_no_child_outlives_an_examination_that_is_given_up(tmp_path: Path) -> None:
    written = tmp_path / "pid"
    plant(tmp_path, f"open({str(written)!r}, 'w').write(str(os.getpid())); say('written'); time.sleep(1000)")

    def interrupt(doing: str) -> None:
        if doing.endswith("written"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(examine("cpu/threads", QUICK, on_progress=interrupt))
    with pytest.raises(ProcessLookupError):
        os.kill(int(written.read_text()), 0)
