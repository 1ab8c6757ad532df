"""The class head: confusion of the classes with each other and with background."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Estimate, Rules
from perception.evaluation.metrics.curves import best_f1
from perception.evaluation.metrics.detection_metric import NO_LABEL, Columns, DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrames
from perception.evaluation.metrics.rows import RowType
from perception.evaluation.metrics.weights import Weights


class Confusion(DetectionMetric):
    """The confusion matrix with background. Matching ignores the class: one to one at overlap 0.5.

    Args:
        score: Detections below it do not count. None: the cut-off at which the F1 of this matrix (a
            detection is right when it matched truth of its own class) is best, over all frames whatever
            their weights.

    Values: `confused`: the share of matched detections that have the wrong class.
    Details: `labels` (background last), `matrix[truth][predicted]` in counts, `score`.
    """

    name = "confusion"
    head = "class"
    row: ClassVar[RowType] = [("score", "f8"), ("label", "i2"), ("true", "i2")]
    row_labels = ("label", "true")

    def __init__(self, rules: Rules | None = None, score: float | None = None) -> None:
        super().__init__(rules)
        self.score = score

    def _detections(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        took = frames.matches_any_class
        matched = took >= 0
        kept = matched | ~frames.low
        true = np.full(len(took), NO_LABEL, dtype=np.intp)
        if matched.any():
            true[matched] = numbers[frames.truth_label[took[matched]]]
            kept[matched] = ~frames.ignored[took[matched]]
        labels = {"label": numbers[frames.label[kept]], "true": true[kept]}
        return {"frame": frames.frame[kept], "score": frames.score[kept], **labels}

    def _cut(self) -> float:
        if self.score is not None:
            return float(self.score)
        order = self._ranked()
        score, label, true = (self.rows[column][order] for column in ("score", "label", "true"))
        return float(best_f1(label == true, score, len(self.truth)).score)

    def _estimates(self, weights: Weights) -> dict[str, Estimate]:
        matched = (self.rows["score"] >= self._cut()) & (self.rows["true"] >= 0)
        wrong = (self.rows["label"] != self.rows["true"])[matched].astype(np.float64)
        share = weights.mean(self.rows["frame"][matched], wrong)
        return {"confused": Estimate(share, len(wrong), self.rules.min_support, "matches", "", "lower")}

    def _details(self) -> dict[str, Any]:
        cut = self._cut()
        shown = self.rows["score"] >= cut
        size = len(self.labels)
        matrix = np.zeros((size + 1, size + 1), dtype=np.intp)
        # Place -1, background, is the last.
        np.add.at(matrix, (self.rows["true"][shown], self.rows["label"][shown]), 1)
        truths = np.bincount(self.truth["label"], minlength=size)
        matrix[:size, -1] = truths - matrix[:size, :size].sum(axis=1)
        return {"labels": [*self.labels, "background"], "matrix": matrix.tolist(), "score": cut}
