"""Where the time of a step on the CPU goes: its phases, compared with the best that this machine can do.

    cmake --preset core && cmake --build --preset core
    python benchmarks/phases.py --output phases.json

It runs the programme in phases/, which times each phase from inside, several times, and takes medians.
"""

from __future__ import annotations

import argparse
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.arguments import add_common, positive
from harness.command import run
from harness.environment import ROOT
from harness.workload import read_dataset
from mpsmnist.data import Dataset

PROGRAM = ROOT / "build" / "core" / "benchmarks" / "phases" / "mpsmnist_phases"
PEAKS = re.compile(
    r"kernels for (\w+); at best ([\d.]+) GFLOP/s, reading ([\d.]+) GB/s from 12 MB, ([\d.]+) GB/s"
)
BATCH = re.compile(r"batch (\d+):")
IDX_OF_BYTES = 0x0803  # magic number of three dimensions


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The phases of a step on the CPU.")
    add = parser.add_argument
    add("--batch-sizes", type=positive, nargs="+", default=[16, 64, 256], metavar="N")
    add("--repeats", type=positive, default=5, help="runs of the programme (default: 5)")
    add("--program", type=Path, default=PROGRAM, metavar="PATH", help="(default: that of the preset core)")
    add_common(parser)
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, dataset: Dataset) -> Iterator[list[dict[str, Any]]]:
    """The rows of every run."""
    images = dataset.train_images
    with tempfile.NamedTemporaryFile() as file:
        file.write(struct.pack(">4i", IDX_OF_BYTES, *images.shape) + images.tobytes())
        file.flush()
        command = [options.program, file.name, str(options.threads), *map(str, options.batch_sizes)]
        yield [row for _ in range(options.repeats) for row in parse_output(_output_of(command))]


def parse_output(text: str) -> list[dict[str, Any]]:
    """The rows that the programme printed, each with what it said about the machine."""
    rows: list[dict[str, Any]] = []
    peaks: dict[str, Any] = {}
    size = 0
    for line in text.splitlines():
        if found := PEAKS.search(line):
            gflops, cache, memory = map(float, found.groups()[1:])
            peaks = {"kernels": found[1], "gflops": gflops, "cache_gbps": cache, "memory_gbps": memory}
        elif found := BATCH.match(line):
            size = int(found[1])
        elif line.startswith("| ") and not line.startswith("| phase"):
            rows.append({"batch_size": size, **_row(line), "peaks": peaks})
    return rows


def _row(line: str) -> dict[str, Any]:
    phase, *cells = (cell.strip() for cell in line.strip().strip("|").split("|"))
    milliseconds, *others = (float(cell.rstrip("%")) if cell else None for cell in cells)
    names = ("gflops", "percent_of_peak", "gigabytes_per_second", "megabytes")
    return {"phase": phase, "milliseconds": milliseconds, **dict(zip(names, others, strict=True))}


def _output_of(command: Sequence[Any]) -> str:
    try:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError:
        sys.exit(
            f"there is no {command[0]}: build it with cmake --preset core && cmake --build --preset core"
        )


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    options = parse(arguments)
    dataset = read_dataset(options.dataset, options.data_dir)
    settings = {"repeats": options.repeats, "dataset": dataset.name}
    run("phases", options, arguments=arguments, settings=settings, parts=measure(options, dataset))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
