"""COCO's greedy matching of detections with truth, and its size ranges.

After the reference evaluation of COCO (Lin et al. 2014, `COCOeval.evaluateImg`). Many frames are matched at
once. Dimension letters: D detections, frame by frame and in descending order of score, G truth boxes, P pairs
of both, A size ranges, T overlap thresholds.
"""

from __future__ import annotations

from typing import NamedTuple

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


class Pairs(NamedTuple):
    """Detections and truth boxes that may be matched, ordered by detection, then by truth; all [P]."""

    detection: NDArray[np.intp]
    truth: NDArray[np.intp]
    overlap: Float64


def match(
    overlaps: Float64,
    thresholds: Float64,
    ignored: NDArray[np.bool_],
    regions: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Return `match_pairs` of the detections of one frame, [A, T, D].

    Args:
        overlaps: [D, G]; 0 where the two may not be matched.
        thresholds, ignored, regions: As in `match_pairs`.
    """
    detection, truth = np.nonzero(overlaps > 0)
    pairs = Pairs(detection, truth, overlaps[detection, truth])
    return match_pairs(pairs, np.zeros(len(overlaps), np.intp), thresholds, ignored, regions)


def match_pairs(
    pairs: Pairs,
    frame: NDArray[np.intp],
    thresholds: Float64,
    ignored: NDArray[np.bool_],
    regions: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Return the truth matched with each detection, or -1, for each size range and threshold: [A, T, D].

    Detections of a frame choose in descending order of score. Each takes the truth of the greatest overlap
    that is at least the threshold and still free, one that counts before one that is ignored; of equal
    overlaps the last one. A region is never used up.

    Args:
        pairs: Which of them may be matched.
        frame: [D], the frame of each detection, ascending.
        thresholds: [T], each above 0.
        ignored: [A, G], truth that is neither hit nor miss.
        regions: [G], ignored truth that any number of detections may fall into.
    """
    taken = np.full((len(ignored), len(thresholds), len(frame)), -1, dtype=np.intp)
    limit = np.minimum(thresholds, 1 - 1e-10)
    pairs = Pairs(*(column[pairs.overlap >= limit.min()] for column in pairs))
    detection, truth, overlap = pairs
    # Most detections and truths reach only each other: there is no choice.
    alone = (np.bincount(detection, minlength=1)[detection] == 1) & (
        np.bincount(truth, minlength=1)[truth] == 1
    )
    taken[:, :, detection[alone]] = np.where(overlap[alone] >= limit[:, None], truth[alone], -1)
    if not alone.all():
        _choose(taken, Pairs(*(column[~alone] for column in pairs)), frame, limit, ignored, regions)
    return taken


def _choose(
    taken: NDArray[np.intp],
    pairs: Pairs,
    frame: NDArray[np.intp],
    limit: Float64,
    ignored: NDArray[np.bool_],
    regions: NDArray[np.bool_],
) -> None:
    """Match contested detections: the first of every frame at once, then the second, and so on."""
    detections, number = np.unique(pairs.detection, return_inverse=True)
    frames, first = np.unique(frame[detections], return_index=True)
    turn = np.arange(len(detections)) - first[np.searchsorted(frames, frame[detections])]
    order = np.argsort(turn[number], kind="stable")
    ends = np.cumsum(np.bincount(turn[number]))
    truths, places = np.unique(pairs.truth, return_inverse=True)
    bonus = np.where(ignored[:, truths], 0.0, 2.0).T[:, :, None]  # [G, A, 1]; an overlap is at most 1
    free = np.ones((len(truths), len(ignored), len(limit)), dtype=np.bool_)
    ranges, levels = np.ogrid[: len(ignored), : len(limit)]
    for start, end in zip(np.append(0, ends), ends, strict=False):
        own = order[start:end]
        place, overlap = places[own], pairs.overlap[own, None, None]
        rank = np.where(free[place] & (overlap >= limit), overlap + bonus[place], 0.0)  # [P, A, T]
        begins = np.flatnonzero(np.diff(number[own], prepend=-1))
        best = np.maximum.reduceat(rank, begins)
        is_best = (rank == np.repeat(best, np.diff(np.append(begins, len(own))), axis=0)) & (rank > 0.0)
        last = np.maximum.reduceat(np.where(is_best, np.arange(len(own))[:, None, None], -1), begins)
        chosen, matched = place[last], last >= 0
        taken[:, :, detections[number[own[begins]]]] = np.where(matched, truths[chosen], -1).transpose(
            1, 2, 0
        )
        used = matched & ~regions[truths][chosen]
        free[chosen[used], *(np.broadcast_to(axis, used.shape)[used] for axis in (ranges, levels))] = False
