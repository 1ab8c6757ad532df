"""`perception find`."""
