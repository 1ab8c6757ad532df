"""The class head: what is taken for what, and for background."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Rules, Value, supported
from perception.evaluation.metrics.curves import best_f1
from perception.evaluation.metrics.detection_metric import NO_LABEL, DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrame
from perception.evaluation.metrics.rows import RowType


class Confusion(DetectionMetric):
    """The confusion matrix with background. Here matching is blind to class, one to one at overlap 0.5.

    Args:
        score: Detections below it are not shown. None: the cut-off at which the F1 of this matrix (a
            detection is right when it matched truth of its own class) is best.

    Values: `confused`: the share of matched detections that have the wrong class.
    Details: `labels` (background last), `matrix[truth][said]` in counts, `score`.
    """

    name = "confusion"
    head = "class"
    row: ClassVar[RowType] = [("stamp_ns", "i8"), ("score", "f8"), ("label", "i2"), ("true", "i2")]
    row_labels = ("label", "true")

    def __init__(self, rules: Rules | None = None, score: float | None = None) -> None:
        super().__init__(rules)
        self.score = score

    def _add(self, frame: ScoredFrame, numbers: NDArray[np.intp]) -> None:
        self._add_truth(frame, numbers)
        took = frame.matches_any_class
        matched = took >= 0
        dropped = ~matched & frame.low
        true = np.full(len(took), NO_LABEL, dtype=np.intp)
        if matched.any():
            true[matched] = numbers[frame.truth_label[took[matched]]]
            dropped[matched] = frame.ignored[took[matched]]
        new = self.rows.grow(int(np.count_nonzero(~dropped)))
        new["stamp_ns"] = frame.stamp_ns
        new["score"] = frame.score[~dropped]
        new["label"] = numbers[frame.label[~dropped]]
        new["true"] = true[~dropped]

    def _compute(self, details: dict[str, Any]) -> dict[str, Value]:
        order = self._ranked()
        score, label, true = (self.rows[column][order] for column in ("score", "label", "true"))
        cut = self.score if self.score is not None else best_f1(label == true, score, len(self.truth)).score
        shown = score >= cut
        size = len(self.labels)
        matrix = np.zeros((size + 1, size + 1), dtype=np.intp)
        # Place -1, background, is the last.
        np.add.at(matrix, (true[shown], label[shown]), 1)
        truths = np.bincount(self.truth["label"], minlength=size)
        matrix[:size, -1] = truths - matrix[:size, :size].sum(axis=1)
        details |= {"labels": [*self.labels, "background"], "matrix": matrix.tolist(), "score": float(cut)}
        matched = int(matrix[:size, :size].sum())
        wrong = matched - int(np.trace(matrix[:size, :size]))
        share = wrong / matched if matched else 0.0
        return {"confused": supported(share, matched, self.rules.min_support, "matches", "", "lower")}
