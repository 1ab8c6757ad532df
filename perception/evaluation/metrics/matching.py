"""Which detection is which truth: overlap, and COCO's greedy matching.

After the reference evaluation of COCO (Lin et al. 2014, `COCOeval.evaluateImg`). Dimension letters:
D detections in descending order of score, G truth boxes, A size ranges, T overlap thresholds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception.types import Float64

THRESHOLDS: Float64 = np.linspace(0.5, 0.95, 10)
"""The ten overlaps of mAP@50:95."""

SIZES: dict[str, tuple[float, float]] = {
    "all": (0.0, np.inf),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, np.inf),
}
"""COCO's size ranges: area of the box in square pixels of the source image, both ends included."""

_LOW = np.array([low for low, _ in SIZES.values()])[:, None]
_HIGH = np.array([high for _, high in SIZES.values()])[:, None]


def areas(boxes: Float64) -> Float64:
    """Areas [N] of boxes [N, 4] `xyxy`."""
    area: Float64 = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area


def outside_size(area: Float64) -> NDArray[np.bool_]:
    """[A, N]: whether each area lies outside each of `SIZES`. What is not a number is in `all` only."""
    outside: NDArray[np.bool_] = ~((area >= _LOW) & (area <= _HIGH))
    outside[0] = False
    return outside


def overlap(detections: Float64, truth: Float64, regions: NDArray[np.bool_]) -> Float64:
    """[D, G] intersection over union; against an ignore region, intersection over the detection's own area.

    Boxes that are not numbers, or that have no area, overlap nothing.
    """
    left_top = np.maximum(detections[:, None, :2], truth[None, :, :2])
    right_bottom = np.minimum(detections[:, None, 2:], truth[None, :, 2:])
    side = np.maximum(right_bottom - left_top, 0.0)
    shared = side[..., 0] * side[..., 1]
    own = areas(detections)[:, None]
    whole = np.where(regions, own, own + areas(truth) - shared)
    found: Float64 = np.divide(shared, whole, out=np.zeros_like(shared), where=(shared > 0) & (whole > 0))
    return found


def match(
    overlaps: Float64,
    thresholds: Float64,
    ignored: NDArray[np.bool_],
    regions: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """For each size range, threshold and detection, the truth it takes, or -1: [A, T, D].

    Detections choose in descending order of score. Each takes the truth of the greatest overlap that is at
    least the threshold and still free, one that counts before one that is ignored; of equal overlaps the
    last one. A region is never used up.

    Args:
        overlaps: [D, G]; 0 where the two may not be matched.
        thresholds: [T], each above 0.
        ignored: [A, G], truth that is neither hit nor miss.
        regions: [G], ignored truth that any number of detections may fall into.
    """
    count, truths = overlaps.shape
    taken = np.full((len(ignored), len(thresholds), count), -1, dtype=np.intp)
    if not truths:
        return taken
    limit = np.minimum(thresholds, 1 - 1e-10)[:, None]
    possible = overlaps >= limit.min()
    # Most detections and truths reach only each other: no choice to make.
    alone = possible & (possible.sum(axis=1, keepdims=True) == 1) & (possible.sum(axis=0) == 1)
    for d, g in np.argwhere(alone):
        taken[:, :, d] = np.where(overlaps[d, g] >= limit[:, 0], g, -1)
    contested = np.flatnonzero(possible.any(axis=1) & ~alone.any(axis=1))
    if len(contested):
        _choose(taken, contested, overlaps, limit, ignored, regions)
    return taken


def _choose(
    taken: NDArray[np.intp],
    contested: NDArray[np.intp],
    overlaps: Float64,
    limit: Float64,
    ignored: NDArray[np.bool_],
    regions: NDArray[np.bool_],
) -> None:
    """Let the contested detections choose one after the other, for all size ranges and thresholds at once."""
    truths = overlaps.shape[1]
    # Turned round, because argmax gives the first of equals and COCO's loop keeps the last.
    backwards = overlaps[:, ::-1]
    bonus = np.where(ignored, 0.0, 2.0)[:, None, ::-1]  # [A, 1, G]; an overlap is at most 1
    free = np.ones((len(ignored), len(limit), truths), dtype=np.bool_)
    reusable = regions[::-1]
    rows, columns = np.ogrid[: len(ignored), : len(limit)]
    for d in contested:
        row = backwards[d]
        rank = np.where(free & (row >= limit), row + bonus, 0.0)
        best = rank.argmax(axis=-1)
        found = rank[rows, columns, best] > 0.0
        taken[:, :, d] = np.where(found, truths - 1 - best, -1)
        free[rows, columns, best] &= ~found | reusable[best]
