"""What imports what: one way through the package's layers, and nothing heavy before it is used."""

from __future__ import annotations

import ast
import importlib.resources
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import mpsmnist
from support.pictures import drawing, write_png

PACKAGE = Path(str(importlib.resources.files("mpsmnist")))

# What each part of the package, a module or folder of it, may import besides itself.
BASE = {
    "_core",
    "descriptors",
    "errors",
    "fastest",
    "file_kinds",
    "files",
    "network",
    "picture_files",
    "user_files",
    "wording",
}
LIBRARY = BASE | {"data", "examination", "training", "prediction", "interop"}
MAY_IMPORT = {
    "_core": set(),
    "descriptors": set(),
    "errors": {"_core"},
    "fastest": {"_core"},
    "file_kinds": set(),
    "files": {"user_files"},
    "picture_files": {"descriptors", "errors", "file_kinds"},
    "wording": set(),
    "user_files": set(),
    "network": {"_core"},
    "data": BASE,
    "examination": BASE,
    "training": BASE | {"data"},
    "prediction": BASE | {"data", "training"},
    "interop": BASE | {"data", "training"},
    "commands": LIBRARY | {"page"},  # the command that starts it
    "page": LIBRARY,
    # What people import and `python -m` runs: thin, and imported by no part.
    # (its other modules for type checkers alone, and when they are first used)
    "__init__": {"_core", "errors", "fastest"}
    | {"app", "checkpoint", "data", "doctor", "interop", "network", "plot", "predict", "train"},
    "__main__": {"commands"},
    "checkpoint": BASE | {"training"},
    "plot": BASE | {"training"},
    "train": LIBRARY | {"commands"},
    "predict": LIBRARY | {"commands"},
    "doctor": LIBRARY | {"commands"},
    "app": LIBRARY | {"commands", "page"},
}

HEAVY = {
    "PIL", "argparse", "asyncio", "json", "matplotlib", "numpy", "pillow_heif", "platformdirs",
    "requests", "safetensors", "scipy", "tqdm", "urllib",
}  # fmt: skip


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py").removesuffix(".pyi")


def imported_parts(source: str, depth: int) -> set[str]:
    """The parts of the package that a module's source imports; depth: of its folder, 0 at the top."""
    parts = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            parts |= {name[1] if len(name) > 1 else "__init__" for name in names if name[0] == "mpsmnist"}
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            if node.level == 0 and module[0] == "mpsmnist":
                module = module[1:]
            elif node.level != depth + 1:
                continue  # another package, or the module's own folder
            parts |= {module[0]} if module else {alias.name for alias in node.names}
    return parts


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_run_one_way(path: Path) -> None:
    part = part_of(path)
    assert part in MAY_IMPORT, "which layer does it belong to?"
    imported = imported_parts(path.read_text(encoding="utf-8"), len(path.relative_to(PACKAGE).parts) - 1)
    assert imported <= MAY_IMPORT[part] | {part}


@pytest.mark.parametrize(
    ("source", "depth", "parts"),
    [
        ("from ..commands.console import DONE", 1, {"commands"}),
        ("from ..commands import console", 1, {"commands"}),
        ("from .. import commands, errors", 1, {"commands", "errors"}),
        ("from .commands.console import DONE", 0, {"commands"}),
        ("import mpsmnist.commands.console", 1, {"commands"}),
        ("from mpsmnist.commands.console import DONE", 1, {"commands"}),
        ("from mpsmnist import commands", 1, {"commands"}),
        ("import mpsmnist", 1, {"__init__"}),
        ("def f():\n    from ..commands import console", 1, {"commands"}),
        ("from .console import DONE\nimport numpy\nfrom os import path", 1, set()),
    ],
)
def test_every_form_of_import_is_seen(source: str, depth: int, parts: set[str]) -> None:
    assert imported_parts(source, depth) == parts


def modules_after(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter has after `code`, packages' contents included."""
    code += "\nimport sys; sys.stdout.flush(); print('', *sys.modules, sep='\\n', file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stderr.splitlines())


def test_importing_the_package_imports_nothing_heavy() -> None:
    modules = modules_after("import mpsmnist")
    assert "mpsmnist._core" in modules
    assert modules & HEAVY == set()
    own = {"mpsmnist._core", "mpsmnist.errors", "mpsmnist.fastest"}
    assert {name for name in modules if name.startswith("mpsmnist.")} == own


@pytest.mark.parametrize("name", ["checkpoint", "data", "doctor", "interop", "network", "predict", "train"])
def test_modules_are_there_once_they_are_used(name: str) -> None:
    assert name in dir(mpsmnist)
    code = f"import mpsmnist; assert mpsmnist.{name}.__name__ == 'mpsmnist.{name}'"
    assert f"mpsmnist.{name}" in modules_after(code)


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_the_plots_are_there_once_they_are_used() -> None:
    assert "plot" in dir(mpsmnist)
    modules = modules_after("import mpsmnist; assert mpsmnist.plot.figure.__name__ == 'figure'")
    assert {"mpsmnist.plot", "matplotlib"} <= modules


def test_without_matplotlib_the_rest_can_be_looked_at() -> None:
    """help() asks for every attribute, and takes AttributeError for an answer."""
    modules_after(
        "import sys; sys.modules['matplotlib'] = None\n"
        "import inspect, mpsmnist; inspect.getmembers(mpsmnist)\n"
        "try: mpsmnist.plot\n"
        "except AttributeError as error: assert \"pip install 'mpsmnist[plot]'\" in str(error)\n"
        "try: from mpsmnist import plot\n"
        "except ImportError as error: assert \"pip install 'mpsmnist[plot]'\" in str(error)\n"
    )


def test_other_names_are_not() -> None:
    code = "import mpsmnist\ntry: mpsmnist.commands\nexcept AttributeError as error: print(error)"
    assert "mpsmnist.commands" not in modules_after(code)
    with pytest.raises(AttributeError, match=r"^module 'mpsmnist' has no attribute 'trainer'$"):
        _ = mpsmnist.trainer


def run_main(*arguments: str) -> str:
    return (
        "from mpsmnist.commands.main import main\n"
        f"try: main({list(arguments)})\n"
        "except SystemExit as exit_: assert not exit_.code, exit_.code"
    )


def test_the_help_of_the_command_imports_no_subcommand() -> None:
    modules = modules_after(run_main("--help"))
    assert modules & HEAVY == {"argparse"}
    assert {name for name in modules if name.startswith("mpsmnist.commands.")} == {
        "mpsmnist.commands.console",
        "mpsmnist.commands.main",
        "mpsmnist.commands.parser",
        "mpsmnist.commands.shared",
        "mpsmnist.commands.signals",
        "mpsmnist.commands.streams",
    }


def test_a_subcommand_does_not_import_the_others() -> None:
    modules = modules_after(run_main("doctor", "--help"))
    assert "mpsmnist.commands.doctor" in modules
    assert modules & {"mpsmnist.commands.train", "mpsmnist.commands.predict", "PIL", "safetensors"} == set()


def test_reading_other_pictures_does_not_import_pillow_heif(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", drawing())
    code = "from mpsmnist.prediction.reading import read_pictures; list(read_pictures({!r}))"
    assert modules_after(code.format(str(tmp_path / "a.png"))) & {"PIL", "pillow_heif"} == {"PIL"}


def test_asking_for_a_datasets_name_imports_no_downloader() -> None:
    assert modules_after("import mpsmnist.data") & {"requests"} == set()
