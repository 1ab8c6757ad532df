"""The class head: precision against recall at overlap 0.5, and the best F1."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Estimate
from perception.evaluation.metrics.curves import RECALLS, precision_curve
from perception.evaluation.metrics.detection_metric import Columns, DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrames
from perception.evaluation.metrics.rows import RowType
from perception.evaluation.metrics.weights import Weights


class PrecisionRecall(DetectionMetric):
    """AP per class at overlap 0.5, and the best F1 over cut-offs, per class and over all.

    Values: `AP50/<class>`; `F1`, `F1_score` (the cut-off), `precision`, `recall` there, over all detections
    under one cut-off, and each of them `/<class>` under the class's own.
    Details: `curves`: class -> {recall, precision, score} at 101 recalls.
    """

    name = "precision_recall"
    head = "class"
    row: ClassVar[RowType] = [("score", "f8"), ("label", "i2"), ("hit", "?")]

    def _detections(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        counts = ~frames.dropped50
        label = numbers[frames.label[counts]]
        scores = {"score": frames.score[counts], "hit": frames.hit50[counts]}
        return {"frame": frames.frame[counts], "label": label, **scores}

    def _estimates(self, weights: Weights) -> dict[str, Estimate]:
        order, needed = self._ranked(), self.rules.min_support
        frame, label, hit, score = (self.rows[column][order] for column in ("frame", "label", "hit", "score"))
        estimates: dict[str, Estimate] = {}
        parts = zip(self._parts(label), self._parts(self.truth["label"]), strict=True)
        for (suffix, mask), (_, truth_mask) in parts:
            truth_frame = self.truth["frame"][truth_mask]
            truths, count = weights.total(truth_frame), len(truth_frame)
            if suffix:
                ap = weights.average_precision(hit[mask], frame[mask], truths)
                estimates[f"AP50{suffix}"] = Estimate(ap, count, needed, "truth boxes", "", "higher")
            best = weights.best_f1(hit[mask], score[mask], frame[mask], truths)
            kept = int(np.count_nonzero(score[mask] >= best.score[0]))  # of use for the point estimate only
            above = (kept, needed, "detections above the cut-off")
            enough = (count, needed, "truth boxes")
            estimates |= {
                f"F1{suffix}": Estimate(best.f1, *enough, "", "higher"),
                f"recall{suffix}": Estimate(best.recall, *enough, "", "higher"),
                f"precision{suffix}": Estimate(
                    best.precision, *(above if count >= needed else enough), "", "higher"
                ),
                f"F1_score{suffix}": Estimate(best.score, *enough)
                if mask.any()
                else Estimate(best.score, 0, 0, "", why="no detection"),
            }
        return estimates

    def _details(self) -> dict[str, Any]:
        order = self._ranked()
        label, hit, score = (self.rows[column][order] for column in ("label", "hit", "score"))
        curves = {}
        for name, number in self.labels.items():
            mask, truths = label == number, int(np.count_nonzero(self.truth["label"] == number))
            if truths >= self.rules.min_support:
                curve = precision_curve(hit[mask], score[mask], truths)
                curves[name] = {
                    "recall": RECALLS.tolist(),
                    "precision": curve.precision.tolist(),
                    "score": curve.score.tolist(),
                }
        return {"curves": curves}
