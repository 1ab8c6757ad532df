"""The integrated autocorrelation time of several series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception.types import Float64

WINDOW = 5.0
"""Correlations are summed up to this many autocorrelation times."""


@dataclass(frozen=True, slots=True, eq=False)
class Autocorrelation:
    """The autocorrelation of a stationary series.

    Attributes:
        time: The integrated autocorrelation time in steps, 1 + 2 sum of `rho`: so many steps are worth one
            independent value. At least 1.
        rho: [M + 1] correlations at lags 0 to M; those beyond are taken as 0.
    """

    time: float
    rho: Float64

    def missed(self, length: float) -> float:
        """Return the factor by which blocks of `length` steps, taken as independent, make a standard error
        too small.

        The variance of a block's mean includes only the correlations within the block; those with its
        neighbours are missed (Künsch 1989, section 3). 1 if nothing is missed.
        """
        lags = np.arange(1, len(self.rho))
        within = np.clip(1.0 - lags / max(length, 1.0), 0.0, None)
        seen = 1.0 + 2.0 * float(np.sum(within * self.rho[1:]))
        return float(np.sqrt(max(self.time / seen, 1.0))) if seen > 0 else 1.0


def autocorrelation(series: Sequence[Float64]) -> Autocorrelation:
    """Return the common autocorrelation of several series [n] of equal steps, about their common mean.

    The window is Sokal's (1997, Monte Carlo Methods in Statistical Mechanics, section 3): the first lag that
    is at least five times the time up to it; never more than half of the longest series. The mean is
    estimated from the same numbers, which lowers every covariance by tau / n: that is added again.
    """
    kept = [values[np.isfinite(values)] for values in series]
    kept = [values for values in kept if len(values)]
    longest = max(map(len, kept), default=0)
    total = sum(map(len, kept))
    if longest < 4:
        return Autocorrelation(1.0, np.ones(1))
    mean = float(np.concatenate(kept).mean())
    covariance = _covariance([values - mean for values in kept], longest)
    if not covariance[0] > 1e-24 * (1.0 + mean * mean):
        return Autocorrelation(1.0, np.ones(1))
    time = 1.0
    rho = covariance / covariance[0]
    for _ in range(3):
        share = min(time / total, 0.5)
        hidden = covariance[0] * share / (1.0 - share)
        rho = (covariance + hidden) / (covariance[0] + hidden)
        so_far = 2.0 * np.cumsum(rho) - 1.0
        enough = np.flatnonzero(np.arange(longest) >= WINDOW * so_far)
        last = min(int(enough[0]) if len(enough) else longest - 1, longest // 2)
        time = max(float(so_far[last]), 1.0)
    return Autocorrelation(time, rho[: last + 1])


def _covariance(series: Sequence[Float64], lags: int) -> Float64:
    """Return the mean product of values at each lag, over all series, [lags]."""
    products, pairs = np.zeros(lags), np.zeros(lags)
    for values in series:
        count = len(values)
        spectrum = np.fft.rfft(values, 2 * count)
        products[:count] += np.fft.irfft(np.abs(spectrum) ** 2, 2 * count)[:count]
        pairs[:count] += count - np.arange(count)
    covariance: Float64 = products / np.maximum(pairs, 1.0)
    return covariance
