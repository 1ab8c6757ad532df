"""Comparison of outputs: bit-exact, within rounding, or by decisions."""
