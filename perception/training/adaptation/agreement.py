"""Agreement of the boxes of two views, and of neighbouring samples: what is certain without truth.

Dimension letters: K boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.geometry.boxes import overlap
from perception.training.adaptation.views import SeenBoxes, TwoViews
from perception.types import Float64

SAME_VIEW_IOU = 0.5
"""The least overlap of a box and its mirror image."""

NEIGHBOUR_IOU = 0.3
"""The least overlap of a box with itself one tick before or after: it moves."""

COUNTED_SCORE = 0.3
"""Boxes of at least this score count in the agreement of a model with itself."""


class AgreedBoxes(NamedTuple):
    """The boxes of both views of one sample, joined.

    The score is the mean of both, where a view that does not have the box counts 0: no more than half.
    """

    labels: NDArray[np.int64]  # [K]
    scores: Float64  # [K]
    boxes: Float64  # [K, 4]
    both: NDArray[np.bool_]  # [K] both views have it
    steady: NDArray[np.bool_]  # [K] a neighbouring sample has it, or there is none

    @property
    def certain(self) -> NDArray[np.bool_]:
        """Return [K]: whether views and time agree."""
        return self.both & self.steady


class SelfAgreement(NamedTuple):
    """How a model agrees with itself on the mirror image, sample by sample."""

    shared: Float64  # [samples] twice the number of boxes that both views have
    counted: Float64  # [samples] the number of boxes of both views

    @property
    def share(self) -> float | None:
        """Return the share of boxes that the other view has, too; None where there are no boxes."""
        total = float(self.counted.sum())
        return float(self.shared.sum()) / total if total else None


def matched(first: SeenBoxes, second: SeenBoxes, least: float) -> NDArray[np.intp]:
    """Return [K of the first]: the box of the second that is the same one, or -1. Of equal class and by
    falling score, each takes the greatest overlap that is left."""
    iou = overlap(first.boxes, second.boxes)
    iou[first.labels[:, None] != second.labels] = 0
    places = np.full(len(first.labels), -1, np.intp)
    if not iou.size:
        return places
    for row in np.argsort(-first.scores, kind="stable"):
        column = int(iou[row].argmax())
        if iou[row, column] >= least:
            places[row] = column
            iou[:, column] = 0
    return places


def agreed_boxes(views: Sequence[TwoViews], neighbours: Sequence[Sequence[int]]) -> list[AgreedBoxes]:
    """Return the joined boxes of each sample.

    Args:
        views: Of each sample.
        neighbours: For each sample, the places of the samples just before and after.
    """
    joined = [_joined(plain, mirrored) for plain, mirrored, _ in views]
    return [
        boxes._replace(steady=_steady(boxes, [joined[place] for place in places]))
        for boxes, places in zip(joined, neighbours, strict=True)
    ]


def self_agreement(views: Sequence[TwoViews]) -> SelfAgreement:
    """Return how many boxes of at least `COUNTED_SCORE` the views share, and how many there are."""
    rows = []
    for plain, mirrored, _ in views:
        a, b = (seen.take(seen.scores >= COUNTED_SCORE) for seen in (plain, mirrored))
        shared = int((matched(a, b, SAME_VIEW_IOU) >= 0).sum())
        rows.append((2 * shared, len(a.labels) + len(b.labels)))
    shared_counts, counts = np.array(rows, np.float64).reshape(-1, 2).T
    return SelfAgreement(shared_counts, counts)


def _joined(plain: SeenBoxes, mirrored: SeenBoxes) -> AgreedBoxes:
    places = matched(plain, mirrored, SAME_VIEW_IOU)
    pairs = np.flatnonzero(places >= 0)
    alone = np.flatnonzero(places < 0)
    others = np.setdiff1d(np.arange(len(mirrored.labels)), places[pairs])
    twins = places[pairs]
    weight = plain.scores[pairs] / (plain.scores[pairs] + mirrored.scores[twins])
    boxes = weight[:, None] * plain.boxes[pairs] + (1 - weight[:, None]) * mirrored.boxes[twins]
    scores = (plain.scores[pairs] + mirrored.scores[twins]) / 2
    both = np.zeros(len(pairs) + len(alone) + len(others), bool)
    both[: len(pairs)] = True
    return AgreedBoxes(
        np.concatenate([plain.labels[pairs], plain.labels[alone], mirrored.labels[others]]),
        np.concatenate([scores, plain.scores[alone] / 2, mirrored.scores[others] / 2]),
        np.concatenate([boxes, plain.boxes[alone], mirrored.boxes[others]]),
        both,
        np.ones(len(both), bool),
    )


def _steady(boxes: AgreedBoxes, neighbours: Sequence[AgreedBoxes]) -> NDArray[np.bool_]:
    steady = np.zeros(len(boxes.labels), bool)
    for other in neighbours:
        iou = overlap(boxes.boxes, other.boxes)
        steady |= ((iou >= NEIGHBOUR_IOU) & (boxes.labels[:, None] == other.labels)).any(1)
    return steady if neighbours else np.ones_like(steady)
