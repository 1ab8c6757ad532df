"""The box head: COCO's mean average precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Estimate
from perception.evaluation.metrics.detection_metric import Columns, DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrames
from perception.evaluation.metrics.matching import SIZES, THRESHOLDS
from perception.evaluation.metrics.rows import RowType
from perception.evaluation.metrics.weights import Weights, divide
from perception.types import Float64

_BITS = 1 << np.arange(len(THRESHOLDS), dtype=np.uint16)
_SIZE_BITS = 1 << np.arange(len(SIZES), dtype=np.uint8)


class MeanAveragePrecision(DetectionMetric):
    """mAP at overlap 0.5, 0.75 and the mean over 0.5 to 0.95 (Lin et al. 2014), also by object size.

    Values: `mAP50`, `mAP75`, `mAP` (50:95), `mAP/small`, `mAP/medium`, `mAP/large`, and `AP/<class>` (50:95).
    The mean is over the classes that have enough truth in that size range, whatever the weights. Ignore
    regions are COCO's crowds: a detection inside one, by intersection over its own area, is neither hit nor
    miss. So is a detection that matches nothing and is lower than truth must be, or outside the size range,
    as COCO does for size ranges.
    """

    name = "mean_average_precision"
    head = "box"
    # hit and dropped: one bit for each overlap, for each size range.
    row: ClassVar[RowType] = [("score", "f8"), ("label", "i2"), ("hit", "u2", 4), ("dropped", "u2", 4)]
    truth_row: ClassVar[RowType] = [("label", "i2"), ("sizes", "u1")]

    def _truths(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        sizes = (_SIZE_BITS[:, None] * ~frames.truth_outside[:, ~frames.ignored]).sum(axis=0)
        return {**super()._truths(frames, numbers), "sizes": sizes}

    def _detections(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        hit, dropped = (np.einsum("atd,t->da", outcome, _BITS) for outcome in frames.outcomes)
        labels = {"frame": frames.frame, "label": numbers[frames.label]}
        return {**labels, "score": frames.score, "hit": hit, "dropped": dropped}

    def _estimates(self, weights: Weights) -> dict[str, Estimate]:
        tables: list[dict[str, Float64]] = [{} for _ in SIZES]  # of each size, [D, T] by class
        truths: list[dict[str, int]] = [{} for _ in SIZES]
        order = self._ranked()
        label = self.rows["label"][order]
        for name, number in self.labels.items():
            rows, of_class = order[label == number], self.truth["label"] == number
            for size, bit in enumerate(_SIZE_BITS):
                frames = self.truth["frame"][of_class & ((self.truth["sizes"] & bit) != 0)]
                truths[size][name] = len(frames)
                if len(frames) >= self.rules.min_support:
                    tables[size][name] = self._precisions(rows, size, weights, weights.total(frames))
        every = tables[0].values()
        estimates = {
            "mAP50": self._mean(weights, [table[:, :1] for table in every], truths[0]),
            "mAP75": self._mean(weights, [table[:, 5:6] for table in every], truths[0]),
            "mAP": self._mean(weights, list(every), truths[0]),
        }
        for size, name in list(enumerate(SIZES))[1:]:
            estimates[f"mAP/{name}"] = self._mean(weights, list(tables[size].values()), truths[size])
        for name in self.labels:
            known = [tables[0][name]] if name in tables[0] else []
            estimates[f"AP/{name}"] = self._mean(weights, known, {name: truths[0][name]})
        return estimates

    def _precisions(self, rows: NDArray[np.intp], size: int, weights: Weights, truths: Float64) -> Float64:
        """Return the average precision at each overlap, [D, T], of rows [N] by descending score."""
        frame, hit, dropped = (
            self.rows["frame"][rows],
            self.rows["hit"][rows, size],
            self.rows["dropped"][rows, size],
        )
        columns = []
        for bit in _BITS:
            kept = (dropped & bit) == 0
            columns.append(weights.average_precision((hit[kept] & bit) != 0, frame[kept], truths))
        return np.stack(columns, axis=1)

    def _mean(self, weights: Weights, tables: Sequence[Float64], truths: Mapping[str, int]) -> Estimate:
        """Return the mean over overlaps and over the classes that have truth in a draw."""
        needed = self.rules.min_support
        enough = [count for count in truths.values() if count >= needed]
        support = sum(enough) if enough else max(truths.values(), default=0)
        values = np.full(len(weights), np.nan)
        if tables:
            table = np.concatenate(tables, axis=1)
            known = np.isfinite(table)
            values = divide(np.where(known, table, 0.0).sum(axis=1), known.sum(axis=1))
        return Estimate(values, support, needed, "truth boxes of one class", "", "higher")
