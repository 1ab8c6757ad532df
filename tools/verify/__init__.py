"""`perception verify`."""
