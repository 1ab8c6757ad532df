"""The box head: COCO's mean average precision."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Value, supported
from perception.evaluation.metrics.curves import average_precision
from perception.evaluation.metrics.detection_metric import DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrame
from perception.evaluation.metrics.matching import SIZES, THRESHOLDS
from perception.evaluation.metrics.rows import RowType

_BITS = 1 << np.arange(len(THRESHOLDS), dtype=np.uint16)
_SIZE_BITS = 1 << np.arange(len(SIZES), dtype=np.uint8)


class MeanAveragePrecision(DetectionMetric):
    """mAP at overlap 0.5, 0.75 and the mean over 0.5 to 0.95 (Lin et al. 2014), also by object size.

    Values: `mAP50`, `mAP75`, `mAP` (50:95), `mAP/small`, `mAP/medium`, `mAP/large`, and `AP/<class>` (50:95).
    The mean is over the classes that have enough truth, in that size range. Ignore regions are COCO's crowds:
    a detection inside one, by intersection over its own area, is neither hit nor miss. So is a detection that
    matches nothing and is lower than truth must be, or outside the size range, as COCO does for size ranges.
    """

    name = "mean_average_precision"
    head = "box"
    # hit and dropped: one bit for each overlap, for each size range.
    row: ClassVar[RowType] = [
        ("stamp_ns", "i8"),
        ("score", "f8"),
        ("label", "i2"),
        ("hit", "u2", 4),
        ("dropped", "u2", 4),
    ]
    truth_row: ClassVar[RowType] = [("stamp_ns", "i8"), ("label", "i2"), ("sizes", "u1")]

    def _add(self, frame: ScoredFrame, numbers: NDArray[np.intp]) -> None:
        truth = self._add_truth(frame, numbers)
        truth["sizes"] = (_SIZE_BITS[:, None] * ~frame.truth_outside[:, ~frame.ignored]).sum(axis=0)
        hit, dropped = frame.outcomes
        new = self.rows.grow(len(frame.label))
        new["stamp_ns"] = frame.stamp_ns
        new["score"] = frame.score
        new["label"] = numbers[frame.label]
        new["hit"] = np.einsum("atd,t->da", hit, _BITS)
        new["dropped"] = np.einsum("atd,t->da", dropped, _BITS)

    def _compute(self, details: dict[str, Any]) -> dict[str, Value]:
        order = self._ranked()
        label, hit, dropped = (self.rows[column][order] for column in ("label", "hit", "dropped"))
        table = np.full((len(self.labels), len(SIZES), len(THRESHOLDS)), np.nan)
        truths = np.zeros((len(self.labels), len(SIZES)), dtype=np.intp)
        for number in self.labels.values():
            own, own_truth = label == number, self.truth["label"] == number
            for size, bit in enumerate(_SIZE_BITS):
                truths[number, size] = count = np.count_nonzero(self.truth["sizes"][own_truth] & bit)
                if count >= self.rules.min_support:
                    table[number, size] = _over_thresholds(hit[own, size], dropped[own, size], int(count))
        return self._values(table, truths)

    def _values(self, table: NDArray[np.float64], truths: NDArray[np.intp]) -> dict[str, Value]:
        needed, what = self.rules.min_support, "truth boxes of one class"

        def mean(part: NDArray[np.float64], count: NDArray[np.intp]) -> Value:
            known = part[~np.isnan(part)]
            most = int(count.max(initial=0))
            total = int(count[count >= needed].sum())
            return (
                Value(float(known.mean()), total, "", "higher")
                if known.size
                else supported(np.nan, most, needed, what, "", "higher")
            )

        values = {
            "mAP50": mean(table[:, 0, 0], truths[:, 0]),
            "mAP75": mean(table[:, 0, 5], truths[:, 0]),
            "mAP": mean(table[:, 0], truths[:, 0]),
        }
        for size, name in list(enumerate(SIZES))[1:]:
            values[f"mAP/{name}"] = mean(table[:, size], truths[:, size])
        for name, number in self.labels.items():
            values[f"AP/{name}"] = mean(table[number, 0], truths[number, :1])
        return values


def _over_thresholds(hit: NDArray[np.uint16], dropped: NDArray[np.uint16], truths: int) -> list[float]:
    return [average_precision((hit[(dropped & bit) == 0] & bit) != 0, truths) for bit in _BITS]
