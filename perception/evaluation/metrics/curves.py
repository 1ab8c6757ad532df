"""The formulas of ranked detections: average precision, the best F1, calibration error."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from perception.types import Float64

T = TypeVar("T", float, Float64)

RECALLS: Float64 = np.linspace(0.0, 1.0, 101)
"""The recalls at which COCO reads the precision."""


class Curve(NamedTuple):
    """Precision [101] at `RECALLS`, and the score at which each recall is reached [101]."""

    precision: Float64
    score: Float64  # 0 where the recall is never reached


def precision_curve(hit: NDArray[np.bool_], score: Float64, truths: int) -> Curve:
    """Return the interpolated curve of detections [N] in descending order of score, without dropped ones.

    At each recall the greatest precision at that recall or above, as COCO (`COCOeval.accumulate`) and
    Pascal VOC (Everingham et al. 2010) define it; 0 beyond the recall that was reached.
    """
    if not len(hit):
        return Curve(np.zeros(101), np.zeros(101))
    true = np.cumsum(hit)
    precision = true / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(true / truths, RECALLS, side="left")
    reached = place < len(hit)
    place = np.minimum(place, len(hit) - 1)
    return Curve(np.where(reached, envelope[place], 0.0), np.where(reached, score[place], 0.0))


def average_precision(hit: NDArray[np.bool_], truths: int) -> float:
    """Return the mean interpolated precision at 101 recalls; detections [N] in descending order of score."""
    return float(precision_curve(hit, np.zeros(len(hit)), truths).precision.mean())


class BestF1(NamedTuple, Generic[T]):
    """The greatest F1 over all cut-offs; detections with at least `score` are kept.

    Each field is a number, or [D] under D draws.
    """

    f1: T
    score: T
    precision: T
    recall: T


def best_f1(hit: NDArray[np.bool_], score: Float64, truths: int) -> BestF1[float]:
    """Return the best F1 = 2 TP / (kept + truths) over cut-offs between distinct scores.

    Detections [N] in descending order of score. Of equal F1 the highest cut-off. Without a detection F1 is 0.
    """
    if not len(hit):
        return BestF1(0.0, 0.0, 0.0, 0.0)
    last = np.append(score[1:] != score[:-1], True)  # equal scores are kept or cut together
    true = np.cumsum(hit)[last]
    kept = np.flatnonzero(last) + 1
    f1 = 2 * true / (kept + truths)
    best = int(f1.argmax())
    recall = true[best] / truths if truths else 0.0
    return BestF1(float(f1[best]), float(score[last][best]), float(true[best] / kept[best]), float(recall))


class Bins(NamedTuple):
    """Mean score, share correct and number in each of K bins: [K], or [D, K] under D draws."""

    confidence: Float64
    accuracy: Float64
    size: NDArray[Any]


def equal_mass(score: Float64, bins: int) -> NDArray[np.intp]:
    """Return the bin of each score [N], between equally spaced quantiles; empty bins are not numbered.

    Equal scores fall into one bin, so that their order means nothing; there may then be fewer bins, of
    unequal mass.
    """
    edges = np.quantile(score, np.linspace(0, 1, bins + 1))
    place: NDArray[np.intp] = np.unique(np.searchsorted(edges[1:-1], score), return_inverse=True)[1]
    return place


def equal_mass_bins(score: Float64, correct: NDArray[np.bool_], bins: int) -> Bins:
    """Return the calibration bins of scores [N] of which some are correct [N]; see `equal_mass`."""
    place = equal_mass(score, bins)
    size = np.bincount(place)
    return Bins(np.bincount(place, score) / size, np.bincount(place, correct) / size, size)


def calibration_error(bins: Bins) -> Float64:
    """Return the expected calibration error: mean |confidence - accuracy| by count (Naeini et al. 2015)."""
    weight = bins.size / bins.size.sum(axis=-1, keepdims=True)
    error: Float64 = np.sum(weight * np.abs(bins.confidence - bins.accuracy), axis=-1)
    return error
