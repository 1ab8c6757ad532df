"""The training loop: loss step, optimiser, schedules, processes, and the files a run writes while it goes."""
