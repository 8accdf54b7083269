"""Training runs: options, sampling, schedules, the loop, its events and checkpoints."""
