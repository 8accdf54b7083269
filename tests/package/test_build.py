"""What a user sees who cannot build the package, or has not."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not on the PATH")
@pytest.mark.skipif(sys.platform == "darwin", reason="CMake asks xcrun for a compiler there")
def test_a_missing_compiler_is_named_with_what_to_install(tmp_path: pathlib.Path) -> None:
    cmake = shutil.which("cmake")
    (tmp_path / "make").symlink_to(sys.executable)  # CMake wants one to be there, but does not run it
    environment = {name: value for name, value in os.environ.items() if name not in ("CC", "CXX")}
    environment |= {"PATH": str(tmp_path), "CXX": "absent-compiler"}
    words = [str(cmake), "-S", str(ROOT), "-B", str(tmp_path / "build")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    told = " ".join(done.stderr.split())
    assert told.startswith("CMake Error at CMakeLists.txt:")
    assert "mpsmnist needs a C++20 compiler, and none was found." in told
    for advice in (
        "apt install g++",
        "dnf install gcc-c++",
        "xcode-select --install",
        "absent-compiler",
    ):
        assert advice in told


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not on the PATH")
@pytest.mark.parametrize("name", ['a "quoted" name', "a;b"])
def test_a_folder_that_cmake_cannot_build_in_is_named(tmp_path: pathlib.Path, name: str) -> None:
    words = ["cmake", "-S", str(ROOT), "-B", str(tmp_path / name)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    told = " ".join(done.stderr.split())
    assert "the name of a folder has a double quote, a semicolon or a backslash" in told
    assert name in told


# The build backend on a Mac with macOS 15, as far as the wheel's name goes.
ON_A_MAC = """
import platform, sys, sysconfig
from scikit_build_core import build
sysconfig.get_config_vars()  # read while this system still has its own name
sys.platform = "darwin"
platform.mac_ver = lambda: ("15.5", ("", "", ""), "arm64")
platform.machine = lambda: "arm64"
build.prepare_metadata_for_build_wheel(sys.argv[1])
"""


@pytest.mark.parametrize("in_the_environment", [None, "11.0", "15.0"])
def test_a_mac_wheel_is_named_for_the_oldest_macos_that_it_runs_on(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, in_the_environment: str | None
) -> None:
    monkeypatch.delenv("MACOSX_DEPLOYMENT_TARGET", raising=False)
    if in_the_environment is not None:
        monkeypatch.setenv("MACOSX_DEPLOYMENT_TARGET", in_the_environment)
    words = [sys.executable, "-c", ON_A_MAC, str(tmp_path)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [wheel] = tmp_path.glob("*.dist-info/WHEEL")
    [tag] = re.findall(r"Tag: (.*)", wheel.read_text(encoding="utf-8"))
    assert tag.endswith("-macosx_13_0_arm64")


def test_an_unbuilt_source_tree_says_so_when_it_is_imported(tmp_path: pathlib.Path) -> None:
    source = ROOT / "python" / "mpsmnist"
    shutil.copytree(source, tmp_path / "mpsmnist", ignore=shutil.ignore_patterns("_core.*.so", "*.pyc"))
    words = [sys.executable, "-c", "import mpsmnist"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {tmp_path / 'mpsmnist'} is mpsmnist's source code, without its ")
    assert "run `pip install .`" in last
    assert "During handling" not in done.stderr


def test_a_core_that_cannot_be_loaded_is_another_error(tmp_path: pathlib.Path) -> None:
    shutil.copytree(ROOT / "python" / "mpsmnist", tmp_path / "mpsmnist")
    (tmp_path / "mpsmnist" / "_core.py").write_text("import absent_library", encoding="utf-8")
    words = [sys.executable, "-c", "import mpsmnist"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'absent_library'"
