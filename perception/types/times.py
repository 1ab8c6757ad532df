"""Times as columns hold them."""

from __future__ import annotations

LATEST_NS = (1 << 63) - 1
"""The latest time of a tick, and in arrays: a log holds times up to 2**64 - 1."""


def bounded_ns(time_ns: int) -> int:
    """Return a time as a signed column of 64 bits holds it: a log may say up to 2**64 - 1."""
    return min(max(time_ns, -LATEST_NS), LATEST_NS)
