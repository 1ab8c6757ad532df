"""Two sides on the same logs: which one is better, and where they differ most."""
