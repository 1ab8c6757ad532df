"""How far two backends' answers are apart: what `--check` and the tests of every backend measure. No torch.

Detections are matched and not compared row by row: the order of nearly equal scores is nobody's fault. Nor is
it a fault to choose the neighbour of a cell that scores nearly the same, which moves a box by more than
rounding does; so a share of the boxes may lie outside the limits, and how many do is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception.models.tensors import Predictions

LEAST_IOU = 0.99
MOST_SCORE = 0.02
MOST_CONTROL = 0.01
"""Of the range of each channel over the samples, or of the standard deviation it tells if that is more."""
LEAST_SHARE = 0.95
"""Of the boxes, that must be within both limits. Measured on a sample log: 0.98 in bfloat16; 0.80 where also
pixels and logits were rounded; 1 in float32."""
COUNTED_FROM = 0.1
"""Detections that score less in both are not looked at."""


@dataclass(slots=True)
class Comparison:
    """What was found so far; `add` sample by sample."""

    samples: int = 0
    ious: list[float] = field(default_factory=list)  # of each reference box with its match; 0 without one
    score_gaps: list[float] = field(default_factory=list)
    control: list[tuple[NDArray[np.float64], ...]] = field(default_factory=list)  # reference, found, std

    def add(self, reference: Predictions, found: Predictions) -> None:
        """The answers to a batch of samples from both."""
        for row in range(len(reference.scores)):
            self.samples += 1
            self._match(*(Predictions(*(array[row] for array in side)) for side in (reference, found)))
            self.control.append(
                (
                    np.asarray(reference.control[row], np.float64),
                    np.asarray(found.control[row], np.float64),
                    np.asarray(reference.control_std[row], np.float64),
                )
            )

    def _match(self, reference: Predictions, found: Predictions) -> None:
        """Each counted box with the best free one of its class on the other side, best scores first."""
        free = np.ones(len(found.scores), bool)
        for index in np.flatnonzero(reference.scores >= COUNTED_FROM):
            overlap = _iou(reference.boxes[index], found.boxes)
            overlap[~free | (found.labels != reference.labels[index])] = 0.0
            best = int(overlap.argmax())
            self.ious.append(float(overlap[best]))
            gap = abs(float(found.scores[best]) - float(reference.scores[index]))
            self.score_gaps.append(gap if overlap[best] > 0 else float(reference.scores[index]))
            free[best] &= overlap[best] == 0
        for index in np.flatnonzero(free & (found.scores >= COUNTED_FROM + MOST_SCORE)):  # nobody's match
            self.ious.append(0.0)
            self.score_gaps.append(float(found.scores[index]))

    def verdict(self) -> Verdict:
        """Whether the answers are the same within the limits."""
        ious, gaps = np.array(self.ious), np.array(self.score_gaps)
        within = (ious > LEAST_IOU) & (gaps < MOST_SCORE)
        if not self.samples:
            return Verdict(0, 0, 1.0, 1.0, 0.0, 0.0, False)
        expected, found, std = (np.stack(column) for column in zip(*self.control, strict=True))
        span = np.maximum(np.ptp(expected, axis=0), std.max(0))
        control = float((np.abs(found - expected) / np.maximum(span, 1e-9)).max())
        share = float(within.mean()) if len(within) else 1.0
        return Verdict(
            samples=self.samples,
            boxes=len(ious),
            share_within=share,
            iou=float(np.quantile(ious, 1 - LEAST_SHARE)) if len(ious) else 1.0,
            score_gap=float(np.quantile(gaps, LEAST_SHARE)) if len(gaps) else 0.0,
            control_gap=control,
            passed=bool(share >= LEAST_SHARE and control < MOST_CONTROL),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison came to.

    Attributes:
        samples, boxes: How many were compared.
        share_within: Of the boxes, with IoU above 0.99 and scores within 0.02.
        iou, score_gap: What 95 % of the boxes keep.
        control_gap: The largest, as a fraction of the channel's range.
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
        said = "same answers" if self.passed else "OTHER ANSWERS"
        return (
            f"{said}: {self.samples} samples, {self.boxes} boxes, {self.share_within:.1%} within IoU "
            f"{LEAST_IOU} and score {MOST_SCORE}; control within {self.control_gap:.2%} of its range"
        )


def compare(references: Sequence[Predictions], found: Sequence[Predictions]) -> Verdict:
    """The verdict over several batches."""
    comparison = Comparison()
    for one, other in zip(references, found, strict=True):
        comparison.add(one, other)
    return comparison.verdict()


def _iou(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """[4] with [K, 4], `xyxy`; boxes without an area have no overlap."""
    box, boxes = np.asarray(box, np.float64), np.asarray(boxes, np.float64)
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.clip(sides, 0.0, None), axis=1)
    areas = [np.prod(np.clip(b[..., 2:] - b[..., :2], 0.0, None), axis=-1) for b in (box, boxes)]
    union = areas[0] + areas[1] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
