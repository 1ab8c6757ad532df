"""Comparison of a backend's outputs with those of eager float32, for `replay --check` and the backend tests.

Detections are matched, not compared row by row: nearly equal scores may change their order. A backend may
also choose the neighbour of a cell that scores nearly the same, which moves a box by more than rounding does:
so a share of the boxes may lie outside the limits, and the share is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.agreement.pairing import iou, paired
from perception.models.tensors import Predictions

LEAST_IOU = 0.99
MOST_SHIFT = 0.05
"""A share of the standard deviation of a side: a box whose sides moved by less is the same, whatever its
overlap. That of a box of 10 pixels is below 0.99 where a side moved by a tenth of a pixel."""
MOST_SCORE = 0.02
MOST_CONTROL = 0.01
"""A share of the range of each channel over the samples, or of its standard deviation if that is greater."""
LEAST_SHARE = 0.95
"""The share of boxes that must be within the limits. Measured on the sample logs with both shipped weights:
0.99 and more in bfloat16; 0.17 and 0.22 where the boxes themselves were rounded to it; 1 in float32."""
COUNTED_FROM = 0.1
"""Detections with lower scores on both sides are not compared."""


@dataclass(frozen=True, slots=True)
class BackendAgreement:
    """The agreement of two backends over some samples.

    Attributes:
        samples, boxes: How many were compared.
        share_within: The share of the boxes with IoU above 0.99, or sides within 5 % of their standard
            deviation, and scores within 0.02.
        iou, score_gap: The limits that 95 % of the boxes keep.
        control_gap: The largest difference of a channel, as a fraction of its range.
        passed: Whether all is within the limits; never without a sample.
    """

    samples: int
    boxes: int
    share_within: float
    iou: float
    score_gap: float
    control_gap: float
    passed: bool

    def __str__(self) -> str:
        words = "same answers" if self.passed else "OTHER ANSWERS"
        return (
            f"{words}: {self.samples} samples, {self.boxes} boxes, {self.share_within:.1%} within IoU "
            f"{LEAST_IOU} or {MOST_SHIFT:.0%} of their deviation, and score {MOST_SCORE}; control within "
            f"{self.control_gap:.2%} of its range"
        )


def compare_backends(references: Sequence[Predictions], answers: Sequence[Predictions]) -> BackendAgreement:
    """Compare the outputs for batches of samples with those of a reference, batch by batch."""
    # Of each box: IoU with its match, difference of scores, and how far a side moved, in its deviations.
    gaps: list[tuple[float, float, float]] = []
    for reference, answer in zip(references, answers, strict=True):
        for row in range(len(reference.scores)):
            gaps += _box_gaps(*(Predictions(*(array[row] for array in side)) for side in (reference, answer)))
    if not sum(len(reference.scores) for reference in references):
        return BackendAgreement(0, 0, 1.0, 1.0, 0.0, 0.0, False)
    expected, std = (_rows([getattr(r, name) for r in references]) for name in ("control", "control_std"))
    off = np.abs(_rows([answer.control for answer in answers]) - expected)
    span = np.maximum(np.ptp(expected, axis=0), std.max(0))
    control = float((off / np.maximum(span, 1e-9)).max())
    ious, scores, shifts = np.array(gaps).reshape(-1, 3).T
    near = ((ious > LEAST_IOU) | (shifts < MOST_SHIFT)) & (scores < MOST_SCORE)
    share = float(near.mean()) if gaps else 1.0
    return BackendAgreement(
        samples=len(expected),
        boxes=len(gaps),
        share_within=share,
        iou=float(np.quantile(ious, 1 - LEAST_SHARE)) if gaps else 1.0,
        score_gap=float(np.quantile(scores, LEAST_SHARE)) if gaps else 0.0,
        control_gap=control,
        passed=bool(share >= LEAST_SHARE and control < MOST_CONTROL),
    )


def _box_gaps(reference: Predictions, answer: Predictions) -> list[tuple[float, float, float]]:
    """Match each counted box with a box of its class, highest scores first; an unmatched box has IoU 0."""
    rows = np.flatnonzero(reference.scores >= COUNTED_FROM)
    shared = iou(reference.boxes[rows], answer.boxes)
    rank = np.where(reference.labels[rows, None] == answer.labels, shared, 0.0)
    pairs, (missed, extra) = paired(rank)
    scores, others = reference.scores[rows].astype(np.float64), answer.scores.astype(np.float64)
    gaps = []
    for a, b in pairs:
        moved = np.abs(answer.boxes[b] - reference.boxes[rows[a]]) / reference.box_std[rows[a]]
        gaps.append((float(shared[a, b]), abs(float(others[b] - scores[a])), float(moved.max())))
    gaps += [(0.0, float(scores[a]), np.inf) for a in missed]
    return gaps + [(0.0, float(others[b]), np.inf) for b in extra if others[b] >= COUNTED_FROM + MOST_SCORE]


def _rows(batches: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    return np.concatenate(batches).astype(np.float64)
