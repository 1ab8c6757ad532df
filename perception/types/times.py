"""Times as columns hold them."""

from __future__ import annotations

_MOST_NS = (1 << 63) - 1


def bounded_ns(time_ns: int) -> int:
    """Return a time as a signed column of 64 bits holds it: a log may say up to 2**64 - 1."""
    return min(max(time_ns, -_MOST_NS), _MOST_NS)
