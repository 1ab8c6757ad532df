"""`perception bench`."""
