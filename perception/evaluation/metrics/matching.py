"""COCO's greedy matching of detections with truth, and its size ranges.

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


def outside_size(area: Float64) -> NDArray[np.bool_]:
    """Return whether each area [N] lies outside each of `SIZES`, [A, N]. NaN is in `all` only."""
    outside: NDArray[np.bool_] = ~((area >= _LOW) & (area <= _HIGH))
    outside[0] = False
    return outside


def match(
    overlaps: Float64,
    thresholds: Float64,
    ignored: NDArray[np.bool_],
    regions: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Return the truth matched with each detection, or -1, for each size range and threshold: [A, T, D].

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
    # Most detections and truths reach only each other: there is no choice.
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
    """Match the contested detections one after the other, for all size ranges and thresholds at once."""
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
        matched = rank[rows, columns, best] > 0.0
        taken[:, :, d] = np.where(matched, truths - 1 - best, -1)
        free[rows, columns, best] &= ~matched | reusable[best]
