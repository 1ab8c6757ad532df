"""`perception info`."""
