"""`perception compare`."""
