"""Frame weights: one each for the point estimate, or the counts of all draws of a bootstrap.

Dimension letters: F frames, N rows of a metric, B blocks of frames, D draws.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.curves import BestF1, average_precision, best_f1
from perception.evaluation.metrics.ranked import average_precisions, best_f1s, segments
from perception.types import Float32, Float64

FrameNumbers = NDArray[np.integer[Any]]
"""[N]: the frame that each row belongs to, counted from 0 in the order of `Metric.update`."""

_MAX_WEIGHTS = 2_000_000
"""Weights of rows in memory at once: 16 MB."""


class Weights:
    """Weights of 1 for each frame: statistics are the exact point estimates, and D is 1.

    Every statistic is [D], and NaN where nothing counts.
    """

    def __len__(self) -> int:
        """Return D, the number of draws."""
        return 1

    def each(self, frame: FrameNumbers) -> Float64:
        """Return the weight of each row under each draw, [D, N]."""
        return np.ones((1, len(frame)))

    def total(self, frame: FrameNumbers) -> Float64:
        """Return the sum of the rows' weights."""
        return np.array([float(len(frame))])

    def sum(self, frame: FrameNumbers, values: Float64) -> Float64:
        """Return the weighted sum of values [N]."""
        return np.array([values.sum()])

    def sums(self, frame: FrameNumbers, values: Float64, group: NDArray[np.intp], groups: int) -> Float64:
        """Return the weighted sums of values [N] by their group [N], [D, groups]."""
        return np.bincount(group, values, groups)[None].astype(np.float64)

    def mean(self, frame: FrameNumbers, values: Float64) -> Float64:
        """Return the weighted mean of values [N]."""
        return divide(self.sum(frame, values), self.total(frame))

    def median(self, frame: FrameNumbers, values: Float64) -> Float64:
        """Return the weighted median of values [N]; the middle of two where the weight splits evenly."""
        return np.array([np.median(values) if len(values) else np.nan])

    def mean_deviation(self, frame: FrameNumbers, values: Float64) -> Float64:
        """Return the mean absolute deviation of values [N] from their mean in each draw."""
        return self.mean(frame, np.abs(values - values.mean()) if len(values) else values)

    def average_precision(self, hit: NDArray[np.bool_], frame: FrameNumbers, truths: Float64) -> Float64:
        """Return COCO's average precision of detections [N] by descending score, for truth counts [D]."""
        return np.array([average_precision(hit, int(truths[0])) if truths[0] else np.nan])

    def best_f1(
        self, hit: NDArray[np.bool_], score: Float64, frame: FrameNumbers, truths: Float64
    ) -> BestF1[Float64]:
        """Return the best F1 of detections [N] by descending score, with its counts; each field [D]."""
        return BestF1(*(np.array([value]) for value in best_f1(hit, score, int(truths[0]))))


class DrawnWeights(Weights):
    """The weights of each frame in each of D draws of blocks.

    Args:
        draws: [D, B] how often each block counts.
        block: [F] the block of each frame.
    """

    def __init__(self, draws: Float32, block: NDArray[np.intp]) -> None:
        self._draws = draws
        self._block = block

    def __len__(self) -> int:
        return len(self._draws)

    def each(self, frame: FrameNumbers) -> Float64:
        return self._draws[:, self._block[frame]].astype(np.float64)

    def total(self, frame: FrameNumbers) -> Float64:
        return np.asarray(self._draws @ self._by_block(frame), np.float64)

    def sum(self, frame: FrameNumbers, values: Float64) -> Float64:
        return np.asarray(self._draws @ self._by_block(frame, values), np.float64)

    def sums(self, frame: FrameNumbers, values: Float64, group: NDArray[np.intp], groups: int) -> Float64:
        blocks = self._draws.shape[1]
        table = np.bincount(self._block[frame] * groups + group, values, blocks * groups)
        return (self._draws @ table.reshape(blocks, groups)).astype(np.float64)

    def median(self, frame: FrameNumbers, values: Float64) -> Float64:
        if not len(values):
            return np.full(len(self), np.nan)
        order = np.argsort(values, kind="stable")
        ordered, block = values[order], self._block[frame[order]]
        # Weights by part of the sorted values show which part has the middle of a draw; only that is read.
        parts = max(1, min(1024, _MAX_WEIGHTS // self._draws.shape[1], len(values)))
        edges = np.linspace(0, len(values), parts + 1).astype(np.intp)
        part = np.repeat(np.arange(parts), np.diff(edges))
        table = np.bincount(block * parts + part, minlength=self._draws.shape[1] * parts)
        below = np.cumsum(self._draws @ table.reshape(-1, parts).astype(np.float32), axis=1, dtype=np.float64)
        medians = np.full(len(self), np.nan)
        for draw, (weight, total) in enumerate(zip(self._draws, below, strict=True)):
            half = total[-1] / 2
            if half > 0:
                middle = []
                for side in ("left", "right"):
                    place = int(np.searchsorted(total, half, side=side))
                    rows = slice(edges[place], edges[place + 1])
                    before = total[place - 1] if place else 0.0
                    within = before + np.cumsum(weight[block[rows]], dtype=np.float64)
                    middle.append(ordered[rows][np.searchsorted(within, half, side=side)])
                medians[draw] = sum(middle) / 2
        return medians

    def mean_deviation(self, frame: FrameNumbers, values: Float64) -> Float64:
        mean, block = self.mean(frame, values), self._block[frame]
        deviations = np.full(len(self), np.nan)
        for draw, row in enumerate(self._draws):
            weight = row[block]
            if total := weight.sum():
                deviations[draw] = np.abs(values - mean[draw]) @ weight / total
        return deviations

    def average_precision(self, hit: NDArray[np.bool_], frame: FrameNumbers, truths: Float64) -> Float64:
        score = np.zeros(len(hit))
        return average_precisions(segments(hit, score, self._block[frame], self._draws), truths)

    def best_f1(
        self, hit: NDArray[np.bool_], score: Float64, frame: FrameNumbers, truths: Float64
    ) -> BestF1[Float64]:
        return best_f1s(segments(hit, score, self._block[frame], self._draws, whole_ties=True), truths)

    def _by_block(self, frame: FrameNumbers, values: Float64 | None = None) -> NDArray[Any]:
        return np.bincount(self._block[frame], values, self._draws.shape[1])


def divide(numerator: Float64, denominator: Float64) -> Float64:
    """Return the quotient; NaN where the denominator is not above 0."""
    out = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    quotient: Float64 = np.divide(numerator, denominator, out=out, where=denominator > 0)
    return quotient
