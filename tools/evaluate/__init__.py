"""`perception evaluate`."""
