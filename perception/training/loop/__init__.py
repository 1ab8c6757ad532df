"""The training loop: loss step, optimiser, schedules, processes, and the files that a run writes."""
