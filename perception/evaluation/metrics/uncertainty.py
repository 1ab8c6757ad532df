"""Scores of a stated standard deviation: likelihood and coverage."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Estimate, Rules
from perception.evaluation.metrics.weights import FrameNumbers, Weights
from perception.types import Float64

Family = Literal["laplace", "gaussian"]

HALF_WIDTH_80: dict[str, float] = {
    "laplace": -np.log(1 - 0.8) / np.sqrt(2.0),  # 1.609 b, and b = std / sqrt(2)
    "gaussian": 1.2815515655446004,  # the 90th percentile of the standard normal distribution
}
"""Half of the nominal 80 % interval, in standard deviations."""


def negative_log_likelihood(error: Float64, std: Float64, family: Family) -> Float64:
    """Return -log p(error) in nats for each element; `std` above 0.

    Laplace: log(2 b) + |e| / b with b = std / sqrt(2). Gaussian: log(std sqrt(2 pi)) + e^2 / (2 std^2).
    """
    if family == "laplace":
        b = std / np.sqrt(2.0)
        laplace: Float64 = np.log(2 * b) + np.abs(error) / b
        return laplace
    gaussian: Float64 = 0.5 * np.log(2 * np.pi) + np.log(std) + 0.5 * (error / std) ** 2
    return gaussian


def covered_80(error: Float64, std: Float64, family: Family) -> NDArray[np.bool_]:
    """Return whether each error lies within the nominal 80 % interval."""
    covered: NDArray[np.bool_] = np.abs(error) <= HALF_WIDTH_80[family] * std
    return covered


def stated(std: Float64) -> NDArray[np.bool_]:
    """Return where a standard deviation is a finite number above 0."""
    return np.isfinite(std) & (std > 0)


def likelihood_estimates(
    prefix: str,
    weights: Weights,
    frame: FrameNumbers,
    error: NDArray[np.floating[Any]],
    std: NDArray[np.floating[Any]],
    rules: Rules,
    suffix: str = "",
) -> dict[str, Estimate]:
    """Return `<prefix>coverage80<suffix>` and `<prefix>NLL<suffix>` of errors [N] or [N, n] with their stds.

    Means over elements; the support is in rows, since the elements of one are not independent.
    """
    errors, stds = error.astype(np.float64), std.astype(np.float64)
    known = stated(stds) & np.isfinite(errors)
    support = int(np.count_nonzero(known if known.ndim == 1 else known.any(axis=1)))
    frames = np.broadcast_to(frame if known.ndim == 1 else frame[:, None], known.shape)[known]
    errors, stds = errors[known], stds[known]
    covered = weights.mean(frames, covered_80(errors, stds, rules.family).astype(np.float64))
    nll = weights.mean(frames, negative_log_likelihood(errors, stds, rules.family))
    needed, of = rules.min_support, "with a standard deviation"
    return {
        f"{prefix}coverage80{suffix}": Estimate(covered, support, needed, of),
        f"{prefix}NLL{suffix}": Estimate(nll, support, needed, of, "nats", "lower"),
    }
