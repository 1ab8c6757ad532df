"""`perception plugin`."""
