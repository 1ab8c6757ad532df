"""`perception host`."""
