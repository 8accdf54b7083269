"""What the benchmarks share: what contestants are given, how they are timed, how figures are shown."""
