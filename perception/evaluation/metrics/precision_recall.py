"""The class head: precision against recall at overlap 0.5, and the best F1."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Value, supported
from perception.evaluation.metrics.curves import RECALLS, best_f1, precision_curve
from perception.evaluation.metrics.detection_metric import DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrame
from perception.evaluation.metrics.rows import RowType


class PrecisionRecall(DetectionMetric):
    """AP per class at overlap 0.5, and F1 at the cut-off where it is best, per class and over all.

    Values: `AP50/<class>`; `F1`, `F1_score` (the cut-off), `precision`, `recall` there, over all detections
    under one cut-off, and each of them `/<class>` under the class's own.
    Details: `curves`: class -> {recall, precision, score} at 101 recalls.
    """

    name = "precision_recall"
    head = "class"
    row: ClassVar[RowType] = [("stamp_ns", "i8"), ("score", "f8"), ("label", "i2"), ("hit", "?")]

    def _add(self, frame: ScoredFrame, numbers: NDArray[np.intp]) -> None:
        self._add_truth(frame, numbers)
        counts = ~frame.dropped50
        new = self.rows.grow(int(np.count_nonzero(counts)))
        new["stamp_ns"] = frame.stamp_ns
        new["score"] = frame.score[counts]
        new["label"] = numbers[frame.label[counts]]
        new["hit"] = frame.hit50[counts]

    def _compute(self, details: dict[str, Any]) -> dict[str, Value]:
        order = self._ranked()
        label, hit, score = self.rows["label"][order], self.rows["hit"][order], self.rows["score"][order]
        truths = np.bincount(self.truth["label"], minlength=len(self.labels))
        values = self._at_best_f1("", hit, score, int(truths.sum()))
        curves = details["curves"] = {}
        for name, number in self.labels.items():
            own = label == number
            count = int(truths[number])
            curve = precision_curve(hit[own], score[own], max(count, 1))
            ap = supported(
                float(curve.precision.mean()), count, self.rules.min_support, "truth boxes", "", "higher"
            )
            values[f"AP50/{name}"] = ap
            values |= self._at_best_f1(f"/{name}", hit[own], score[own], count)
            if ap.defined:
                curves[name] = {
                    "recall": RECALLS.tolist(),
                    "precision": curve.precision.tolist(),
                    "score": curve.score.tolist(),
                }
        return values

    def _at_best_f1(
        self, suffix: str, hit: NDArray[np.bool_], score: NDArray[np.float64], truths: int
    ) -> dict[str, Value]:
        best = best_f1(hit, score, truths)
        needed = self.rules.min_support
        found = {
            f"F1{suffix}": supported(best.f1, truths, needed, "truth boxes", "", "higher"),
            f"recall{suffix}": supported(best.recall, truths, needed, "truth boxes", "", "higher"),
        }
        kept = int(np.count_nonzero(score >= best.score))
        found[f"precision{suffix}"] = (
            supported(best.precision, kept, needed, "detections above the cut-off", "", "higher")
            if truths >= needed
            else Value(None, truths, "", "higher", f"{truths} truth boxes; {needed} are needed")
        )
        found[f"F1_score{suffix}"] = (
            supported(best.score, truths, needed, "truth boxes")
            if len(hit)
            else Value(None, 0, "", "", "no detection")
        )
        return found
