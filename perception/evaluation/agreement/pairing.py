"""The objects of two outputs that are the same ones: their nearness, and a match one to one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.matching import match
from perception.geometry.boxes import overlap
from perception.types import Detection, Float64


def paired(rank: Float64) -> tuple[list[tuple[int, int]], tuple[list[int], list[int]]]:
    """Match rows [A] with columns [B] one to one; return the pairs, and the unmatched rows and columns.

    COCO's greedy matching: each row in turn takes the free column of the greatest rank, of equal ranks the
    first; 0 may not be matched.
    """
    rows, columns = rank.shape
    no_regions = np.zeros(columns, dtype=np.bool_)
    backwards = match(rank[:, ::-1], np.array([np.finfo(np.float64).tiny]), no_regions[None], no_regions)[
        0, 0
    ]
    pairs = [(row, columns - 1 - int(place)) for row, place in enumerate(backwards) if place >= 0]
    matched = [{pair[side] for pair in pairs} for side in (0, 1)]
    alone = tuple(
        [i for i in range(n) if i not in known] for n, known in zip((rows, columns), matched, strict=True)
    )
    return pairs, (alone[0], alone[1])


def iou(boxes: object, others: object) -> Float64:
    """Return the intersection over union of boxes [A, 4] with others [B, 4], both `xyxy`: [A, B]."""
    corners = [np.asarray(side, dtype=np.float64).reshape(-1, 4) for side in (boxes, others)]
    return overlap(corners[0], corners[1])


def nearness(before: Sequence[Detection], now: Sequence[Detection]) -> Float64:
    """Return the rank of each pair [A, B]: 0 if an edge is off by half of the size; the same label first."""
    edges = [np.array([box.xyxy for box in side]).reshape(-1, 1, 4) for side in (before, now)]
    off = np.abs(edges[0] - edges[1].reshape(1, -1, 4)).max(axis=2, initial=0.0)
    size = np.array([longer_side(box) for box in before])[:, None]
    return np.where(off < size / 2, 1.0 - off / size + same_label(before, now), 0.0)


def same_label(boxes: Sequence[Detection], others: Sequence[Detection]) -> NDArray[np.bool_]:
    """Return whether labels are equal, [A, B]."""
    labels = (np.array([box.label for box in side], dtype=str) for side in (boxes, others))
    same: NDArray[np.bool_] = np.equal.outer(*labels)
    return same


def longer_side(box: Detection) -> float:
    """Return the longer side of a box, px; at least 1."""
    x1, y1, x2, y2 = box.xyxy
    return max(x2 - x1, y2 - y1, 1.0)
