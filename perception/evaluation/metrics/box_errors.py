"""The box head: how well matched boxes and distances fit, and how well they know it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Rules, Value, supported
from perception.evaluation.metrics.detection_metric import DetectionMetric
from perception.evaluation.metrics.frame import ScoredFrame
from perception.evaluation.metrics.rows import RowType
from perception.evaluation.metrics.uncertainty import covered_80, negative_log_likelihood, stated
from perception.types import Float64


class BoxErrors(DetectionMetric):
    """Of the detections matched at overlap 0.5 with truth of their class: overlap, coverage and likelihood.

    Values: `IoU`, `IoU/<class>`; over the four coordinates in source pixels `box_coverage80` (nominal 0.8)
    and `box_NLL` (nats a coordinate). Coordinates without a standard deviation are left out of those two.
    """

    name = "box_errors"
    head = "box"
    row: ClassVar[RowType] = [
        ("stamp_ns", "i8"),
        ("label", "i2"),
        ("iou", "f4"),
        ("error", "f4", 4),
        ("std", "f4", 4),
    ]

    def _add(self, frame: ScoredFrame, numbers: NDArray[np.intp]) -> None:
        hit = np.flatnonzero(frame.hit50)
        took = frame.matches50[hit]
        new = self.rows.grow(len(hit))
        new["stamp_ns"] = frame.stamp_ns
        new["label"] = numbers[frame.label[hit]]
        new["iou"] = frame.overlaps[hit, took] if len(hit) else 0.0
        new["error"] = frame.box[hit] - frame.truth_box[took]
        new["std"] = frame.box_std[hit]

    def _compute(self, details: dict[str, Any]) -> dict[str, Value]:
        iou, needed = self.rows["iou"].astype(np.float64), self.rules.min_support
        values = {"IoU": supported(_mean(iou), len(iou), needed, "matches", "", "higher")}
        for name, number in self.labels.items():
            own = iou[self.rows["label"] == number]
            values[f"IoU/{name}"] = supported(_mean(own), len(own), needed, "matches", "", "higher")
        return values | likelihood_values("box_", self.rows["error"], self.rows["std"], self.rules)


class DistanceErrors(DetectionMetric):
    """Of the detections matched at overlap 0.5 with truth of their class that has a distance: how far off.

    Values: `distance_abs` (mean |said - true|, m), `distance_rel` (mean |said - true| / true),
    `distance_rel_median` (its median, which one box at the wrong depth does not move), all three also
    `/<class>`; `distance_bias` (mean said - true, m); `distance_coverage80`, `distance_NLL` (nats).
    Details: `truth`, boxes with a distance; `missing`, matches whose said distance is no number: left out.
    """

    name = "distance_errors"
    head = "box"
    row: ClassVar[RowType] = [
        ("stamp_ns", "i8"),
        ("label", "i2"),
        ("said", "f4"),
        ("true", "f4"),
        ("std", "f4"),
    ]

    def _add(self, frame: ScoredFrame, numbers: NDArray[np.intp]) -> None:
        known = np.isfinite(frame.truth_distance) & (frame.truth_distance > 0)
        self._add_truth(frame, numbers, known)
        hit = np.flatnonzero(frame.hit50)
        hit = hit[known[frame.matches50[hit]]]
        new = self.rows.grow(len(hit))
        new["stamp_ns"] = frame.stamp_ns
        new["label"] = numbers[frame.label[hit]]
        new["said"] = frame.distance[hit]
        new["true"] = frame.truth_distance[frame.matches50[hit]]
        new["std"] = frame.distance_std[hit]

    def _compute(self, details: dict[str, Any]) -> dict[str, Value]:
        said, true = self.rows["said"].astype(np.float64), self.rows["true"].astype(np.float64)
        good = np.isfinite(said)
        details["truth"] = len(self.truth)
        details["missing"] = int(np.count_nonzero(~good))
        error, true, label = (said - true)[good], true[good], self.rows["label"][good]
        needed, count = self.rules.min_support, len(error)
        values = {"distance_bias": supported(_mean(error), count, needed, "matches", "m")}
        everything = np.ones(count, dtype=np.bool_)
        parts = [("", everything), *((f"/{name}", label == number) for name, number in self.labels.items())]
        for suffix, own in parts:
            off, count = np.abs(error[own]), int(np.count_nonzero(own))
            values[f"distance_abs{suffix}"] = supported(_mean(off), count, needed, "matches", "m", "lower")
            part = off / true[own]
            for name, value in (("distance_rel", _mean(part)), ("distance_rel_median", _median(part))):
                values[f"{name}{suffix}"] = supported(value, count, needed, "matches", "", "lower")
        return values | likelihood_values("distance_", error, self.rows["std"][good], self.rules)


def likelihood_values(
    what: str,
    error: NDArray[np.floating[Any]],
    std: NDArray[np.floating[Any]],
    rules: Rules,
    suffix: str = "",
) -> dict[str, Value]:
    """`<what>coverage80<suffix>` and `<what>NLL<suffix>` of errors [N] or [N, n] with standard deviations.

    Means over elements; the support is in rows, since the elements of one are not independent.
    """
    errors, stds = error.astype(np.float64), std.astype(np.float64)
    known = stated(stds) & np.isfinite(errors)
    count = int(np.count_nonzero(known if known.ndim == 1 else known.any(axis=1)))
    errors, stds = errors[known], stds[known]
    covered = _mean(covered_80(errors, stds, rules.family).astype(np.float64))
    nll = _mean(negative_log_likelihood(errors, stds, rules.family))
    needed, of = rules.min_support, "with a standard deviation"
    return {
        f"{what}coverage80{suffix}": supported(covered, count, needed, of),
        f"{what}NLL{suffix}": supported(nll, count, needed, of, "nats", "lower"),
    }


def _median(values: Float64) -> float:
    return float(np.median(values)) if values.size else 0.0


def _mean(values: Float64) -> float:
    return float(values.mean()) if values.size else 0.0
