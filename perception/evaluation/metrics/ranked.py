"""Average precision and best F1 of ranked detections in all draws of a bootstrap at once.

A ranking is cut into at most 512 segments, each ending at a hit: precision is greatest there, so that with
no more hits than that nothing is lost. With more, segments end at every n-th hit, and the values are off by
less than 0.001, all draws alike: intervals are taken from the differences between draws.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.curves import RECALLS, BestF1
from perception.types import Float32, Float64

SEGMENTS = 512


class Segments(NamedTuple):
    """Hits and false alarms up to the end of each segment, [D, S], and the score there [S]."""

    hits: Float32
    false: Float32
    score: Float64


def segments(
    hit: NDArray[np.bool_],
    score: Float64,
    block: NDArray[np.intp],
    draws: Float32,
    whole_ties: bool = False,
) -> Segments:
    """Cut a ranking into segments and count hits and false alarms under each draw.

    Args:
        hit: [N] in descending order of score, without what is dropped.
        score: [N].
        block: [N] the block of each.
        draws: [D, B] how often each block counts.
        whole_ties: Segments end only where the score changes, as cut-offs do.
    """
    ends = np.flatnonzero(hit)
    if whole_ties and len(ends):
        last = np.flatnonzero(np.append(score[1:] != score[:-1], True))
        ends = np.unique(last[np.searchsorted(last, ends)])
    if len(ends) > SEGMENTS:
        ends = ends[np.linspace(0, len(ends) - 1, SEGMENTS).round().astype(np.intp)]
    if not len(ends):
        none = np.zeros((len(draws), 0), dtype=np.float32)
        return Segments(none, none, np.zeros(0))
    kept = slice(0, int(ends[-1]) + 1)  # what comes after the last hit lowers nothing that counts
    place = np.searchsorted(ends, np.arange(kept.stop))
    flat = block[kept] * len(ends) + place
    size, shape = draws.shape[1] * len(ends), (draws.shape[1], len(ends))
    of_hits = np.bincount(flat[hit[kept]], minlength=size).reshape(shape).astype(np.float32)
    of_all = np.bincount(flat, minlength=size).reshape(shape).astype(np.float32)
    false = of_all - of_hits
    # Summed before they are weighted: blocks are fewer than draws.
    return Segments(draws @ np.cumsum(of_hits, axis=1), draws @ np.cumsum(false, axis=1), score[ends])


def average_precisions(ranking: Segments, truths: Float64) -> Float64:
    """Return COCO's average precision of each draw [D], given the number of truths [D]; NaN without truth."""
    if not ranking.hits.shape[1]:
        return np.where(truths > 0, 0.0, np.nan)
    envelope = ranking.hits + ranking.false
    np.maximum(envelope, 1e-9, out=envelope)
    np.divide(ranking.hits, envelope, out=envelope)
    np.maximum.accumulate(envelope[:, ::-1], axis=1, out=envelope[:, ::-1])
    # How many of the recalls 0, 0.01 ... 1 each segment is the first to reach; a little more than it has,
    # since shares are rounded: 30 of 100 must reach 0.3.
    last = len(RECALLS) - 1
    reached = ranking.hits * (last / np.maximum(truths, 1e-9)).astype(np.float32)[:, None]
    reached += 1e-4
    np.floor(reached, out=reached)
    reached[:, 1:] -= reached[:, :-1].copy()
    reached[:, 0] += 1.0  # recall 0
    total = np.einsum("ds,ds->d", reached, envelope)
    return np.where(truths > 0, total / len(RECALLS), np.nan).astype(np.float64)


def best_f1s(ranking: Segments, truths: Float64) -> BestF1[Float64]:
    """Return the best F1 of each draw and the counts kept there, [D] each; NaN without truth."""
    if not ranking.hits.shape[1]:
        none = np.where(truths > 0, 0.0, np.nan)
        return BestF1(none, none, none, none)
    kept = ranking.hits + ranking.false
    f1 = 2 * ranking.hits / np.maximum(kept + truths[:, None], 1e-9)
    best = f1.argmax(axis=1)
    rows = np.arange(len(truths))
    hits, known = ranking.hits[rows, best], truths > 0

    def value(numbers: Float64) -> Float64:
        return np.where(known, numbers, np.nan)

    return BestF1(
        value(f1[rows, best].astype(np.float64)),
        value(ranking.score[best]),
        value(hits / np.maximum(kept[rows, best], 1e-9)),
        value(hits / np.maximum(truths, 1e-9)),
    )
