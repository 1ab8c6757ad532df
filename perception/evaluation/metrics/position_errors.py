"""The box head: errors of positions along the ray and across it, and of their covariances."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Estimate
from perception.evaluation.metrics.detection_metric import Columns, DetectionMetric, of_truth
from perception.evaluation.metrics.frame import ScoredFrames
from perception.evaluation.metrics.rows import RowType
from perception.evaluation.metrics.weights import Weights
from perception.geometry import Matrix

WITHIN_80 = 4.641627676087445
"""The 80th percentile of chi-squared with three degrees of freedom."""


class PositionErrors(DetectionMetric):
    """Errors of the positions of the detections matched at overlap 0.5 with cuboids of their class.

    The truth is the centre of the cuboid, in the frame of the output's positions, by the rig of that moment.
    Values: `position_abs` (mean length of the error, m), `position_along` and `position_across` (mean size of
    its part along the ray from the camera to the truth, and across it, m), all three also `/<class>`;
    `position_NEES`, the mean of e' C^-1 e / 3 (normalised estimation error squared; Bar-Shalom, Li,
    Kirubarajan 2001, 5.4.2): 1 where the covariance C is right, above 1 where it is too small;
    `position_coverage80`, the part of errors within the 80 % ellipsoid of a normal distribution.
    Details: `truth`, boxes whose centre is known; `missing`, matches that state no position: left out.
    """

    name = "position_errors"
    head = "box"
    row: ClassVar[RowType] = [("label", "i2"), ("along", "f4"), ("across", "f4"), ("nees", "f8")]

    def _truths(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        return of_truth(frames, numbers, ~frames.ignored & _has_centre(frames))

    def _detections(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        hit = np.flatnonzero(frames.hit50)
        hit = hit[_has_centre(frames)[frames.matches50[hit]]]
        along, across, nees = _errors(frames, hit, frames.truth_centre[frames.matches50[hit]])
        errors = {"along": along, "across": across, "nees": nees}
        return {"frame": frames.frame[hit], "label": numbers[frames.label[hit]], **errors}

    def _estimates(self, weights: Weights) -> dict[str, Estimate]:
        good, needed = np.isfinite(self.rows["along"]), self.rules.min_support
        label, frame = self.rows["label"][good], self.rows["frame"][good]
        along, across = (self.rows[name][good].astype(np.float64) for name in ("along", "across"))
        of, estimates = "matches that state a position", {}
        for suffix, mask in self._parts(label):
            for name, values in (
                ("position_abs", np.hypot(along, across)),
                ("position_along", np.abs(along)),
                ("position_across", across),
            ):
                mean = weights.mean(frame[mask], values[mask])
                estimates[name + suffix] = Estimate(mean, int(mask.sum()), needed, of, "m", "lower")
        nees = self.rows["nees"][good]
        known = np.isfinite(nees)
        nees, frame, of = nees[known], frame[known], "matches that state a covariance"
        mean, within = weights.mean(frame, nees / 3), weights.mean(frame, (nees <= WITHIN_80).astype(float))
        estimates["position_NEES"] = Estimate(mean, len(nees), needed, of)
        estimates["position_coverage80"] = Estimate(within, len(nees), needed, of)
        return estimates

    def _details(self) -> dict[str, Any]:
        missing = int(np.count_nonzero(~np.isfinite(self.rows["along"])))
        return {"truth": len(self.truth), "missing": missing}


def _has_centre(frames: ScoredFrames) -> NDArray[np.bool_]:
    """Return which truth boxes have a centre, [G]."""
    return np.asarray(np.isfinite(frames.truth_centre).all(axis=1), np.bool_)


def _errors(frames: ScoredFrames, rows: NDArray[np.intp], centre: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Return the errors of some detections along and across the ray, and e' C^-1 e; NaN where unknown.

    Args:
        rows: [M] places of the detections.
        centre: [M, 3] their true centres as seen from the picture.
    """
    if frames.placement is None:
        unknown = np.full(len(rows), np.nan)
        return unknown, unknown, unknown
    frame_from_here = frames.placement[frames.frame[rows]]  # [M, 4, 4]
    rotation = frame_from_here[:, :3, :3]
    error = frames.position[rows] - (_turned(rotation, centre) + frame_from_here[:, :3, 3])
    length = np.maximum(np.linalg.norm(centre, axis=1, keepdims=True), 1e-9)
    ray = _turned(rotation, centre / length)
    along = (error * ray).sum(axis=1)
    across = np.linalg.norm(error - along[:, None] * ray, axis=1)
    return along, across, _normalised(error, frames.position_cov[rows])


def _turned(rotations: Matrix, vectors: Matrix) -> Matrix:
    """Return vectors [M, 3] turned by their rotations [M, 3, 3]; the same whatever their number."""
    turned: Matrix = (rotations * vectors[:, None, :]).sum(axis=2)
    return turned


def _normalised(error: Matrix, covariance: Matrix) -> Matrix:
    """Return e' C^-1 e of errors [M, 3]; NaN where a covariance is not known or cannot be inverted."""
    squared = np.full(len(error), np.nan)
    with np.errstate(all="ignore"):
        known = np.asarray(np.isfinite(covariance).all(axis=(1, 2)) & np.isfinite(error).all(axis=1))
        known[known] = np.linalg.det(covariance[known]) > 0
    solved = np.linalg.solve(covariance[known], error[known][:, :, None])[:, :, 0]
    squared[known] = (error[known] * solved).sum(axis=1)
    return squared
