"""Ablations: sensors left out, and faults injected."""
