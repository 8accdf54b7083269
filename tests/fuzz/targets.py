"""All targets by name."""

from __future__ import annotations

from . import Target, class_folders, csv_table, idx, npz, parquet

TARGETS: dict[str, Target] = {
    "idx": idx.PLAIN,
    "gzip": idx.GZIPPED,
    "npz": npz.TARGET,
    "csv": csv_table.TARGET,
    "parquet": parquet.TARGET,
    "class-folders": class_folders.TARGET,
}
