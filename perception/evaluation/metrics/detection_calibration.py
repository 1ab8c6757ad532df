"""The class head: calibration of the scores."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Estimate
from perception.evaluation.metrics.curves import Bins, calibration_error, equal_mass, equal_mass_bins
from perception.evaluation.metrics.detection_metric import Columns, DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrames
from perception.evaluation.metrics.rows import RowType
from perception.evaluation.metrics.weights import Weights
from perception.types import Float64

BINS = 15
MIN_SCORE = 0.1


class DetectionCalibration(DetectionMetric):
    """The detection expected calibration error (after Küppers et al. 2020, of the score alone).

    Over detections of score 0.1 or more that are not dropped. Correct: matched one to one with truth of the
    same class at overlap 0.5. 15 bins of equal mass, those of all frames whatever their weights; each needs
    `min_support` detections on average.
    Values: `D-ECE`, `D-ECE/<class>`. Details: `bins`: {confidence, accuracy, size}.
    """

    name = "detection_calibration"
    head = "class"
    row: ClassVar[RowType] = [("score", "f8"), ("label", "i2"), ("correct", "?")]

    def _detections(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        counts = ~frames.dropped50 & (frames.score >= MIN_SCORE)
        label = numbers[frames.label[counts]]
        scores = {"score": frames.score[counts], "correct": frames.hit50[counts]}
        return {"frame": frames.frame[counts], "label": label, **scores}

    def _estimates(self, weights: Weights) -> dict[str, Estimate]:
        needed, of = BINS * self.rules.min_support, f"detections of score {MIN_SCORE} or more"
        return {
            f"D-ECE{suffix}": Estimate(
                self._error(weights, mask), int(np.count_nonzero(mask)), needed, of, "", "lower"
            )
            for suffix, mask in self._parts(self.rows["label"])
        }

    def _error(self, weights: Weights, mask: NDArray[np.bool_]) -> Float64:
        """Return the calibration error of the rows in a mask [N], [D]."""
        if not mask.any():
            return np.full(len(weights), np.nan)
        frame, score, correct = (self.rows[name][mask] for name in ("frame", "score", "correct"))
        place = equal_mass(score, BINS)
        bins = int(place.max()) + 1
        size = weights.sums(frame, np.ones(len(score)), place, bins)
        score_sums, right = (weights.sums(frame, values, place, bins) for values in (score, correct))
        filled = np.maximum(size, 1.0)  # a bin that is empty in a draw has no weight there
        with np.errstate(invalid="ignore"):  # of a draw without a detection: 0 / 0
            return calibration_error(Bins(score_sums / filled, right / filled, size))

    def _details(self) -> dict[str, Any]:
        score, correct = self.rows["score"], self.rows["correct"]
        if len(score) < BINS * self.rules.min_support:
            return {}
        bins = equal_mass_bins(score, correct, BINS)
        return {"bins": {column: part.tolist() for column, part in bins._asdict().items()}}
