"""The class head: whether a score is the share of detections that are right."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Value, supported
from perception.evaluation.metrics.curves import calibration_error, equal_mass_bins
from perception.evaluation.metrics.detection_metric import DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrame
from perception.evaluation.metrics.rows import RowType

BINS = 15
MIN_SCORE = 0.1


class DetectionCalibration(DetectionMetric):
    """The detection expected calibration error (after Küppers et al. 2020, of the score alone).

    Over detections of score 0.1 or more that are not dropped. Correct: matched one to one with truth of the
    same class at overlap 0.5. 15 bins of equal mass; each needs `min_support` detections on average.
    Values: `D-ECE`, `D-ECE/<class>`. Details: `bins`: {confidence, accuracy, size}.
    """

    name = "detection_calibration"
    head = "class"
    row: ClassVar[RowType] = [("stamp_ns", "i8"), ("score", "f8"), ("label", "i2"), ("correct", "?")]

    def _add(self, frame: ScoredFrame, numbers: NDArray[np.intp]) -> None:
        counts = ~frame.dropped50 & (frame.score >= MIN_SCORE)
        new = self.rows.grow(int(np.count_nonzero(counts)))
        new["stamp_ns"] = frame.stamp_ns
        new["score"] = frame.score[counts]
        new["label"] = numbers[frame.label[counts]]
        new["correct"] = frame.hit50[counts]

    def _compute(self, details: dict[str, Any]) -> dict[str, Value]:
        score, correct, label = self.rows["score"], self.rows["correct"], self.rows["label"]
        values = {"D-ECE": self._error(score, correct)}
        for name, number in self.labels.items():
            values[f"D-ECE/{name}"] = self._error(score[label == number], correct[label == number])
        if values["D-ECE"].defined:
            bins = equal_mass_bins(score, correct, BINS)
            details["bins"] = {column: part.tolist() for column, part in bins._asdict().items()}
        return values

    def _error(self, score: NDArray[np.float64], correct: NDArray[np.bool_]) -> Value:
        error = calibration_error(equal_mass_bins(score, correct, BINS)) if len(score) else 0.0
        what = f"detections of score {MIN_SCORE} or more"
        return supported(error, len(score), BINS * self.rules.min_support, what, "", "lower")
