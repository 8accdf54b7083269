"""scripts/check_release: what must agree before a release."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "check_release"


def check(folder: pathlib.Path, tag: str, changelog: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a project of version 1.2.3."""
    (folder / "scripts").mkdir()
    shutil.copy(SCRIPT, folder / "scripts")
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.2.3"\n', encoding="utf-8")
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n## {changelog}\n\n- New.\n", encoding="utf-8")
    words = [sys.executable, str(folder / "scripts" / "check_release"), tag]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_a_tag_that_agrees_may_be_released(tmp_path: pathlib.Path) -> None:
    done = check(tmp_path, "v1.2.3", "1.2.3 (2026-11-29)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("tag", "changelog", "told"),
    [
        ("v1.2.4", "1.2.3 (2026-11-29)", 'the tag is "v1.2.4", but pyproject.toml has version "1.2.3"'),
        ("1.2.3", "1.2.3 (2026-11-29)", 'the tag is "1.2.3", but'),
        ("v1.2.3", "1.2.3 (unreleased)", 'CHANGELOG.md begins with "1.2.3 (unreleased)"'),
        ("v1.2.3", "1.2.2 (2026-11-29)", 'CHANGELOG.md begins with "1.2.2 (2026-11-29)"'),
        ("v1.2.3", "1.2.34 (2026-11-29)", 'CHANGELOG.md begins with "1.2.34 (2026-11-29)"'),
    ],
)
def test_one_that_does_not_is_told_what_disagrees(
    tmp_path: pathlib.Path, tag: str, changelog: str, told: str
) -> None:
    done = check(tmp_path, tag, changelog)
    assert done.returncode == 1
    assert told in done.stderr
