"""Comparisons over a few seeds: paired changes, and the front of non-dominated points. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Literal

from perception.evaluation.statistics.significance import student_quantile

Better = Literal["higher", "lower"]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class SeedRange:
    """Median and range of a few values, one of each seed."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float]) -> SeedRange:
    """Return median and range of at least one value."""
    return SeedRange(median(values), min(values), max(values), len(values))


@dataclass(frozen=True, slots=True)
class Change:
    """The effect of a change of the configuration on a score.

    Attributes:
        spread: Of the differences of each seed: with the change minus without it.
        verdict: `better`, `worse` or `cannot tell`.
    """

    spread: SeedRange
    verdict: Literal["better", "worse", "cannot tell"]


def paired(before: Sequence[float], after: Sequence[float], better: Better) -> Change:
    """Return the change from `before` to `after`, whose k-th values belong to the same seed.

    The verdict is better or worse where Student's 95 % interval of the mean difference excludes 0; one seed
    is never enough. The interval covers the variation over seeds (weights, order, augmentation) on these
    logs, not over logs.
    """
    differences = [b - a for a, b in zip(before, after, strict=True)]
    mean, count = fmean(differences), len(differences)
    verdict: Literal["better", "worse", "cannot tell"] = "cannot tell"
    if count > 1:
        half = student_quantile((1 + CONFIDENCE) / 2, count - 1) * stdev(differences) / math.sqrt(count)
        if abs(mean) > half:
            verdict = "better" if (mean > 0) == (better == "higher") else "worse"
    return Change(spread(differences), verdict)


def non_dominated(points: Sequence[Sequence[float]], better: Sequence[Better]) -> list[bool]:
    """Return for each point whether no other is as good in all coordinates and better in one.

    Points with a coordinate that is not finite are never on this front and dominate nothing.
    """
    signs = [1.0 if side == "higher" else -1.0 for side in better]
    scored = [[sign * x for sign, x in zip(signs, point, strict=True)] for point in points]
    finite = [all(math.isfinite(x) for x in point) for point in scored]

    def dominates(a: list[float], b: list[float]) -> bool:
        return all(x >= y for x, y in zip(a, b, strict=True)) and a != b

    return [
        ok
        and not any(
            other_ok and dominates(other, point) for other, other_ok in zip(scored, finite, strict=True)
        )
        for point, ok in zip(scored, finite, strict=True)
    ]
