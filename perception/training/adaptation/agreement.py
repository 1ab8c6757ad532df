"""Agreement of the boxes of several views, and of neighbouring samples: what is certain without truth.

Dimension letters: K boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.geometry.boxes import overlap
from perception.training.adaptation.enlarged_views import EVERYWHERE, RegionView
from perception.training.adaptation.views import COUNTED_SCORE, SeenBoxes, TwoViews
from perception.types import Float64

SAME_VIEW_IOU = 0.5
"""The least overlap of a box and itself in another view."""

NEIGHBOUR_IOU = 0.3
"""The least overlap of a box with itself one tick before or after: it moves."""


class AgreedBoxes(NamedTuple):
    """The boxes of all views of one sample, joined.

    The score is the mean of the views in whose region a box lies, where one that does not have it counts 0.
    """

    labels: NDArray[np.int64]  # [K]
    scores: Float64  # [K]
    boxes: Float64  # [K, 4]
    claimed: Float64  # [K] the mean score of the views that have the box
    confirmed: NDArray[np.bool_]  # [K] two views have it, and half of those in whose region it lies
    steady: NDArray[np.bool_]  # [K] a neighbouring sample has it, or there is none

    @property
    def certain(self) -> NDArray[np.bool_]:
        """Return [K]: whether views and time agree."""
        return self.confirmed & self.steady


class SelfAgreement(NamedTuple):
    """How a model agrees with itself on the mirror image, sample by sample."""

    shared: Float64  # [samples] twice the number of boxes that both views have
    counted: Float64  # [samples] the number of boxes of both views

    @property
    def share(self) -> float | None:
        """Return the share of boxes that the other view has, too; None where there are no boxes."""
        total = float(self.counted.sum())
        return float(self.shared.sum()) / total if total else None

    @property
    def error(self) -> float:
        """Return the standard error of the share, with the samples as units; 0 where there are no boxes."""
        share = self.share
        if share is None:
            return 0.0
        residuals = self.shared - share * self.counted
        return float(np.sqrt((residuals**2).sum()) / self.counted.sum())


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


def agreed_boxes(
    views: Sequence[TwoViews],
    neighbours: Sequence[Sequence[int]],
    enlarged: Sequence[Sequence[RegionView]] | None = None,
) -> list[AgreedBoxes]:
    """Return the joined boxes of each sample.

    Args:
        views: Of each sample.
        neighbours: For each sample, the places of the samples just before and after.
        enlarged: Further views of each sample.
    """
    further = enlarged if enlarged is not None else [()] * len(views)
    joined = [
        _joined([RegionView(whole.plain, EVERYWHERE), RegionView(whole.mirrored, EVERYWHERE), *parts])
        for whole, parts in zip(views, further, strict=True)
    ]
    return [
        boxes._replace(steady=_steady(boxes, [joined[place] for place in places]))
        for boxes, places in zip(joined, neighbours, strict=True)
    ]


def self_agreement(views: Sequence[TwoViews], most: int | None = None) -> SelfAgreement:
    """Return how many boxes of at least `COUNTED_SCORE` the views share, and how many there are.

    Args:
        views: Of each sample.
        most: Only the surest boxes count, this many of all samples in either view. None: all of them.
    """
    least = [_least_score([getattr(view, name) for view in views], most) for name in ("plain", "mirrored")]
    rows = []
    for plain, mirrored, _ in views:
        a, b = (seen.take(seen.scores >= score) for seen, score in zip((plain, mirrored), least, strict=True))
        shared = int((matched(a, b, SAME_VIEW_IOU) >= 0).sum())
        rows.append((2 * shared, len(a.labels) + len(b.labels)))
    shared_counts, counts = np.array(rows, np.float64).reshape(-1, 2).T
    return SelfAgreement(shared_counts, counts)


def _least_score(seen: Sequence[SeenBoxes], most: int | None) -> float:
    """Return the score from which on boxes count: `COUNTED_SCORE`, or that of the last of the surest."""
    scores = np.concatenate([boxes.scores for boxes in seen]) if seen else np.zeros(0)
    if most is None or not 0 < most < len(scores):
        return COUNTED_SCORE
    return max(COUNTED_SCORE, float(np.sort(scores)[-most]))


def _joined(views: Sequence[RegionView]) -> AgreedBoxes:
    """Join the boxes of views: by falling score each takes the surest box of each view that overlaps it, and
    what is left of those that do is the same object again (Solovyev et al. 2021, Weighted boxes fusion)."""
    labels, scores, boxes = (
        np.concatenate([getattr(view.seen, name) for view in views]) for name in ("labels", "scores", "boxes")
    )
    of_view = np.repeat(np.arange(len(views)), [len(view.seen.labels) for view in views])
    same = (overlap(boxes, boxes) >= SAME_VIEW_IOU) & (labels[:, None] == labels)
    np.fill_diagonal(same, True)
    order = np.argsort(-scores, kind="stable")
    left = np.ones(len(labels), bool)
    rows = []
    for top in order:
        if not left[top]:
            continue
        group = order[(same[top] & left)[order]]
        left[group] = False
        _, surest = np.unique(of_view[group], return_index=True)
        members = group[surest]
        weights = scores[members] / scores[members].sum()
        looked = np.array([_contains(view.region, boxes[top]) for view in views])
        looked[of_view[members]] = True
        count, asked = len(members), int(looked.sum())
        total = float(scores[members].sum())
        confirmed = count >= 2 and 2 * count >= asked
        rows.append((labels[top], total / asked, weights @ boxes[members], total / count, confirmed))
    return AgreedBoxes(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float64),
        np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
        np.array([row[3] for row in rows], np.float64),
        np.array([row[4] for row in rows], bool),
        np.ones(len(rows), bool),
    )


def _contains(region: Float64, box: Float64) -> bool:
    return bool((box[:2] >= region[:2]).all() and (box[2:] <= region[2:]).all())


def _steady(boxes: AgreedBoxes, neighbours: Sequence[AgreedBoxes]) -> NDArray[np.bool_]:
    steady = np.zeros(len(boxes.labels), bool)
    for other in neighbours:
        iou = overlap(boxes.boxes, other.boxes)
        steady |= ((iou >= NEIGHBOUR_IOU) & (boxes.labels[:, None] == other.labels)).any(1)
    return steady if neighbours else np.ones_like(steady)
