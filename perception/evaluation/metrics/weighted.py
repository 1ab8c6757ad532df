"""Means and medians under many sets of weights at once, draw by draw."""

from __future__ import annotations

import numpy as np

from perception.evaluation.metrics.marks import Blocks
from perception.evaluation.metrics.ranked import Weights
from perception.types import Float64

_MOST_AT_ONCE = 2_000_000
"""Weights of rows in memory: 16 MB."""


def means(block: Blocks, values: Float64, weights: Weights, counts: Float64 | None = None) -> Float64:
    """[D]: the weighted mean of rows [N], or of sums [N] over `counts` [N]; NaN where nothing counts."""
    size = weights.shape[1]
    sums = np.bincount(block, values, size)
    number = np.bincount(block, counts, size) if counts is not None else np.bincount(block, minlength=size)
    below = weights @ number
    found: Float64 = np.divide(weights @ sums, below, out=np.full(len(weights), np.nan), where=below > 0)
    return found


def medians(block: Blocks, values: Float64, weights: Weights) -> Float64:
    """[D]: the weighted median of rows [N], between two where half of the weight lies on either side; NaN
    where nothing counts. A few draws at a time: each needs the weights of all rows."""
    found = np.full(len(weights), np.nan)
    if not len(values):
        return found
    order = np.argsort(values, kind="stable")
    ordered, block = values[order], block[order]
    step = max(1, _MOST_AT_ONCE // len(values))
    for start in range(0, len(weights), step):
        below = np.cumsum(weights[start : start + step, block], axis=1)
        half = below[:, -1:] / 2
        low, high = np.argmax(below >= half, axis=1), np.argmax(below > half, axis=1)
        found[start : start + step] = np.where(half[:, 0] > 0, (ordered[low] + ordered[high]) / 2, np.nan)
    return found


def totals(block: Blocks, weights: Weights) -> Float64:
    """[D]: how many rows count."""
    found: Float64 = (weights @ np.bincount(block, minlength=weights.shape[1])).astype(np.float64)
    return found


def mean_deviation(block: Blocks, true: Float64, mean: Float64, weights: Weights) -> Float64:
    """[D]: mean |true - mean of the draw|, for each draw about its own mean [D]."""
    found = np.empty(len(weights))
    for draw, row in enumerate(weights):
        weight = row[block]
        total = weight.sum()
        found[draw] = np.abs(true - mean[draw]) @ weight / total if total else np.nan
    return found
