"""The box head: errors of matched boxes and distances, and of their standard deviations."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Estimate
from perception.evaluation.metrics.detection_metric import Columns, DetectionMetric, of_truth
from perception.evaluation.metrics.frame import ScoredFrames
from perception.evaluation.metrics.rows import RowType
from perception.evaluation.metrics.uncertainty import likelihood_estimates
from perception.evaluation.metrics.weights import Weights


class BoxErrors(DetectionMetric):
    """Overlap, coverage and likelihood of the detections matched at overlap 0.5 with truth of their class.

    Values: `IoU`, `IoU/<class>`; over the four coordinates in source pixels `box_coverage80` (nominal 0.8)
    and `box_NLL` (nats a coordinate). Coordinates without a standard deviation are left out of those two.
    """

    name = "box_errors"
    head = "box"
    row: ClassVar[RowType] = [("label", "i2"), ("iou", "f4"), ("error", "f4", 4), ("std", "f4", 4)]

    def _detections(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        hit = np.flatnonzero(frames.hit50)
        truth = frames.matches50[hit]
        return {
            "frame": frames.frame[hit],
            "label": numbers[frames.label[hit]],
            "iou": frames.overlap50[hit],
            "error": frames.box[hit] - frames.truth_box[truth],
            "std": frames.box_std[hit],
        }

    def _estimates(self, weights: Weights) -> dict[str, Estimate]:
        frame, iou, needed = self.rows["frame"], self.rows["iou"].astype(np.float64), self.rules.min_support
        estimates = {}
        for suffix, mask in self._parts(self.rows["label"]):
            mean, count = weights.mean(frame[mask], iou[mask]), int(np.count_nonzero(mask))
            estimates[f"IoU{suffix}"] = Estimate(mean, count, needed, "matches", "", "higher")
        return estimates | likelihood_estimates(
            "box_", weights, frame, self.rows["error"], self.rows["std"], self.rules
        )


class DistanceErrors(DetectionMetric):
    """Distance errors of the detections matched at overlap 0.5 with truth of their class.

    Values: `distance_abs` (mean |predicted - true|, m), `distance_rel` (mean |predicted - true| / true),
    `distance_rel_median` (its median, which one box at the wrong depth does not move), all three also
    `/<class>`; `distance_bias` (mean predicted - true, m); `distance_coverage80`, `distance_NLL` (nats).
    Details: `truth`, boxes with a distance; `missing`, matches that state no distance: left out.
    """

    name = "distance_errors"
    head = "box"
    row: ClassVar[RowType] = [("label", "i2"), ("predicted", "f4"), ("true", "f4"), ("std", "f4")]

    def _truths(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        return of_truth(frames, numbers, ~frames.ignored & _has_distance(frames))

    def _detections(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        hit = np.flatnonzero(frames.hit50)
        hit = hit[_has_distance(frames)[frames.matches50[hit]]]
        return {
            "frame": frames.frame[hit],
            "label": numbers[frames.label[hit]],
            "predicted": frames.distance[hit],
            "true": frames.truth_distance[frames.matches50[hit]],
            "std": frames.distance_std[hit],
        }

    def _estimates(self, weights: Weights) -> dict[str, Estimate]:
        predicted, true = self.rows["predicted"].astype(np.float64), self.rows["true"].astype(np.float64)
        good, needed = np.isfinite(predicted), self.rules.min_support
        error, true, frame = (predicted - true)[good], true[good], self.rows["frame"][good]
        bias, of = weights.mean(frame, error), "matches that state a distance"
        estimates = {"distance_bias": Estimate(bias, len(error), needed, of, "m")}
        for suffix, mask in self._parts(self.rows["label"][good]):
            off, frames = np.abs(error[mask]), frame[mask]
            relative = off / true[mask]
            for name, values, unit in (
                ("distance_abs", weights.mean(frames, off), "m"),
                ("distance_rel", weights.mean(frames, relative), ""),
                ("distance_rel_median", weights.median(frames, relative), ""),
            ):
                estimates[name + suffix] = Estimate(values, len(off), needed, of, unit, "lower")
        std = self.rows["std"][good]
        return estimates | likelihood_estimates("distance_", weights, frame, error, std, self.rules)

    def _details(self) -> dict[str, Any]:
        missing = int(np.count_nonzero(~np.isfinite(self.rows["predicted"])))
        return {"truth": len(self.truth), "missing": missing}


def _has_distance(frames: ScoredFrames) -> NDArray[np.bool_]:
    """Return which truth boxes have a distance, [G]."""
    known: NDArray[np.bool_] = np.isfinite(frames.truth_distance) & (frames.truth_distance > 0)
    return known
