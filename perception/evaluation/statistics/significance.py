"""P-values: the tail of Student's t, and Holm's correction.

scipy has the distribution, but every evaluation has intervals, and for two functions it would add 140 MB to
every installation. The tests compare with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import erfc, exp, isinf, lgamma, log, sqrt


def student_tail(t: float, freedom: float) -> float:
    """Return P(T > t) of Student's distribution for t >= 0; `freedom` may be infinite (the normal one)."""
    if t < 0:
        raise ValueError(f"t: expected 0 or more, found {t}")
    if isinf(freedom) or freedom > 1e7:
        return 0.5 * erfc(t / sqrt(2.0))
    if isinf(t):
        return 0.0
    total = freedom + t * t
    return 0.5 * _beta(freedom / total, t * t / total, freedom / 2, 0.5)


@lru_cache(maxsize=1024)  # asked for every value of a report, of few degrees of freedom
def student_quantile(share: float, freedom: float) -> float:
    """Return the t below which a share from 0.5 to below 1 lies, by bisection of the tail."""
    if not 0.5 <= share < 1:
        raise ValueError(f"share: expected from 0.5 to 1, found {share}")
    low, high = 0.0, 1.0
    while student_tail(high, freedom) > 1 - share and high < 1e300:
        high *= 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if student_tail(middle, freedom) > 1 - share else (low, middle)
    return 0.5 * (low + high)


def _beta(x: float, y: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b); `y` is 1 - x, exact where x is near 1."""
    if x <= 0 or y <= 0:
        return 0.0 if x <= 0 else 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(y, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz (DLMF 8.17.22)."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, 1000):
        before = value
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + term / c
            c = c if abs(c) > tiny else tiny
            value *= c * d
        if abs(value - before) <= 1e-15 * abs(value):
            break
    return value


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for multiple comparisons, in the same order.

    Holm (1979), A simple sequentially rejective multiple test procedure: the smallest of n is multiplied by
    n, the next by n - 1, and so on; none may be smaller than one before it, none greater than 1. None stays
    None and does not count.

    Raises:
        ValueError: A p-value is not from 0 to 1.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        if not 0 <= p <= 1:
            raise ValueError(f"expected p-values from 0 to 1, found {p}")
        least = max(least, min(p * (len(known) - rank), 1.0))
        corrected[place] = least
    return corrected
