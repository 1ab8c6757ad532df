"""Confidence calibration after training: fits that correct scores and standard deviations.

Fitted on logs used for nothing else, for each subset of the sensors separately; the results are buffers of
`models.decode.Calibration` and act inside the graph. Numbers only: no model, no torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NOMINAL = 0.8
"""The nominal coverage that the factors are fitted to."""

HALF_WIDTH = {"laplace": 1.6094379 / np.sqrt(2.0), "gaussian": 1.2815516}
"""Half of the nominal interval, in standard deviations."""

LEAST = 30
"""The least number of detections or matches for a fit."""

STRENGTH = 5.0
"""Weight of the prior (scale 1, bias 0), in detections."""

MOST = 10.0
"""Factors lie within 1/10 and 10."""


def fit_scores(
    logits: NDArray[np.float64], hits: NDArray[np.bool_], spread: NDArray[np.float64] | None = None
) -> tuple[float, float, float]:
    """Fit scale and bias of logits and the weight of the boxes' spread, so that scores are the share of hits
    (Platt 1999, with a second feature), by Newton's method; return the three.

    The objective is the log likelihood with a weak Gaussian prior on scale - 1, bias and weight, so that few
    detections change little and a perfect separation does not lead to infinity. The scale stays above 0.05:
    the order of detections of equal spread is never reversed.

    Args:
        logits: [N] of detections.
        hits: [N] whether each was right.
        spread: [N] uncertainty of each box, a logarithm; None: not used, its weight is 0.
    """
    if len(logits) < LEAST:
        return 1.0, 0.0, 0.0
    rows = np.stack([logits, np.ones_like(logits), np.zeros_like(logits) if spread is None else spread], 1)
    start = np.array([1.0, 0.0, 0.0])
    weights = start.copy()

    def cost(at: NDArray[np.float64]) -> float:
        z = rows @ at
        return float(np.sum(np.logaddexp(0, z) - z * hits) + STRENGTH / 2 * np.sum((at - start) ** 2))

    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(rows @ weights, -50, 50)))
        gradient = rows.T @ (p - hits) + STRENGTH * (weights - start)
        curvature = (rows * (p * (1 - p))[:, None]).T @ rows + STRENGTH * np.eye(3)
        step = np.linalg.solve(curvature, gradient)
        length = 1.0
        while length > 1e-6 and cost(weights - length * step) > cost(weights):
            length /= 2  # a full step may lead away where most scores are near 0 or 1
        weights = weights - length * step
        if np.abs(step).max() < 1e-8:
            break
    return max(float(weights[0]), 0.05), float(weights[1]), float(weights[2])


def fit_factor(errors: NDArray[np.float64], stds: NDArray[np.float64], family: str) -> float:
    """Return the factor on standard deviations that puts `NOMINAL` of the errors inside their interval.

    Args:
        errors: [N] predicted less true.
        stds: [N] as predicted.
        family: `laplace` or `gaussian`.
    """
    good = np.isfinite(errors) & np.isfinite(stds) & (stds > 0)
    if np.count_nonzero(good) < LEAST:
        return 1.0
    ratio = np.abs(errors[good]) / (stds[good] * HALF_WIDTH[family])
    return float(np.clip(np.quantile(ratio, NOMINAL), 1 / MOST, MOST))


def spread_of(boxes: NDArray[np.float64], stds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the uncertainty of boxes as the graph computes it: [N, 4] `xyxy` and the standard
    deviations of their sides to [N]."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    spread: NDArray[np.float64] = np.log(((stds[:, :2] + stds[:, 2:]) / sides).sum(1))
    return spread
