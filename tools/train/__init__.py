"""`perception train`."""
