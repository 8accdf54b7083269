"""What every benchmark does: say where it runs, measure, show the figures, keep them."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .environment import describe, headline
from .summaries import SCHEMA, Result, dump, summarize
from .tables import show

# These say where files are on one machine.
PATH_OPTIONS = (
    "--output",
    "--json",
    "--raw-dir",
    "--data-dir",
    "--plot",
    "--program",
    "--checkpoint",
    "--contact-sheet",
)


def run(
    kind: str,
    options: argparse.Namespace,
    *,
    arguments: Sequence[str],
    settings: dict[str, Any],
    parts: Iterable[list[Result]],
    distributions: Iterable[str] = ("mpsmnist", "numpy"),
) -> Result:
    """The summary of what `parts` measure. Each part, a list of measurements, is shown when finished."""
    raw: Result = {
        "schema": SCHEMA,
        "kind": kind,
        "command": public_command(f"benchmarks/{kind}.py", arguments),
        "environment": describe(options.threads, distributions),
        "settings": settings,
        "measured": [],
    }
    print(headline(raw["environment"]) + "\n", flush=True)
    for part in parts:
        raw["measured"] += part
        show(summarize({**raw, "measured": part}))
    summary = summarize(raw)
    if options.output is not None:
        _save(raw, summary, options.output, options.raw_dir)
    if getattr(options, "plot", None) is not None:
        from .plots import draw  # noqa: PLC0415 (matplotlib is optional)

        draw(summary, options.plot)
    return summary


def public_command(program: str, arguments: Sequence[str]) -> str:
    """The command line without this machine's paths."""
    words: list[str] = []
    rest = iter(arguments)
    for word in rest:
        option, equals, _ = word.partition("=")
        if option in PATH_OPTIONS:
            if not equals:
                next(rest)
        elif words and words[-1] == "--python":
            words.append(f"{option}=...")
        else:
            words.append(word)
    return shlex.join(["python", program, *words])


def _save(raw: Result, summary: Result, output: Path, raw_dir: Path) -> None:
    output.write_text(dump(summary), "utf-8")
    raw_dir.mkdir(parents=True, exist_ok=True)
    (raw_dir / output.name).write_text(json.dumps(raw, indent=1) + "\n", "utf-8")
