"""`perception replay`."""
