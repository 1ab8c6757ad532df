"""How good a stated standard deviation is: likelihood and coverage."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perception.types import Float64

Family = Literal["laplace", "gaussian"]

HALF_WIDTH_80: dict[str, float] = {
    "laplace": -np.log(1 - 0.8) / np.sqrt(2.0),  # 1.609 b, and b = std / sqrt(2)
    "gaussian": 1.2815515655446004,  # the 90th percentile of the standard normal distribution
}
"""Half of the nominal 80 % interval, in standard deviations."""


def negative_log_likelihood(error: Float64, std: Float64, family: Family) -> Float64:
    """-log p(error) in nats for each element; `std` above 0.

    Laplace: log(2 b) + |e| / b with b = std / sqrt(2). Gaussian: log(std sqrt(2 pi)) + e^2 / (2 std^2).
    """
    if family == "laplace":
        b = std / np.sqrt(2.0)
        laplace: Float64 = np.log(2 * b) + np.abs(error) / b
        return laplace
    gaussian: Float64 = 0.5 * np.log(2 * np.pi) + np.log(std) + 0.5 * (error / std) ** 2
    return gaussian


def covered_80(error: Float64, std: Float64, family: Family) -> NDArray[np.bool_]:
    """Whether each error lies within the nominal 80 % interval."""
    covered: NDArray[np.bool_] = np.abs(error) <= HALF_WIDTH_80[family] * std
    return covered


def stated(std: Float64) -> NDArray[np.bool_]:
    """Where a standard deviation is one: a number above 0."""
    return np.isfinite(std) & (std > 0)
