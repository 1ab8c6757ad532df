"""`perception synthesize`."""
