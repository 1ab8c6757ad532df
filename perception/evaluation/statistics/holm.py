"""Many comparisons at once (Holm 1979, A simple sequentially rejective multiple test procedure)."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Corrected p-values, in the order given: below 0.05 is a finding, whatever the number of comparisons.

    The smallest of n is multiplied by n, the next by n - 1, and so on; none may be smaller than one before
    it, none greater than 1. None stays None and does not count.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    found: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        if not 0 <= p <= 1:
            raise ValueError(f"expected p-values from 0 to 1, found {p}")
        least = max(least, min(p * (len(known) - rank), 1.0))
        found[place] = least
    return found
