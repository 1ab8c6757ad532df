"""Student's t distribution without scipy, which costs a second to import."""

from __future__ import annotations

from math import erfc, exp, inf, isinf, lgamma, log, sqrt


def student_tail(t: float, freedom: float) -> float:
    """P(T > t) for t >= 0, T of Student's distribution; `freedom` may be infinite (the normal one)."""
    if t < 0:
        raise ValueError(f"t: expected 0 or more, found {t}")
    if isinf(freedom) or freedom > 1e7:
        return 0.5 * erfc(t / sqrt(2.0))
    if isinf(t):
        return 0.0
    whole = freedom + t * t
    return 0.5 * _beta(freedom / whole, t * t / whole, freedom / 2, 0.5)


def student_quantile(share: float, freedom: float) -> float:
    """The t that a share of 0.5 or more, below 1, lies below: by bisection of the tail."""
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
    """The regularised incomplete beta function I_x(a, b); `y` is 1 - x, which x near 1 no longer knows."""
    if x <= 0 or y <= 0:
        return 0.0 if x <= 0 else 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(y, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Its continued fraction, by Lentz (DLMF 8.17.22)."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    found = d
    for m in range(1, 1000):
        before = found
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + term / c
            c = c if abs(c) > tiny else tiny
            found *= c * d
        if abs(found - before) <= 1e-15 * abs(found):
            return found
    return found if found == found else inf
