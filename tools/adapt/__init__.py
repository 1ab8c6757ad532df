"""`perception adapt`."""
