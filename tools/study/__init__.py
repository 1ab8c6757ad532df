"""`perception study`."""
