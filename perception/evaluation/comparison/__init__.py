"""Paired comparison of two sides on the same logs."""
