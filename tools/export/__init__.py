"""`perception export`."""
