"""What a few seeds allow to be said: paired changes, and which points no other point beats. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Literal

from perception.evaluation.statistics.student import student_quantile

Better = Literal["higher", "lower"]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class SeedRange:
    """A few values: one of each seed."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float]) -> SeedRange:
    """Of at least one value."""
    return SeedRange(median(values), min(values), max(values), len(values))


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of the configuration does to a score.

    Attributes:
        spread: Of the differences, seed by seed: with the change less without it.
        verdict: `better`, `worse` or `cannot tell`.
    """

    spread: SeedRange
    verdict: Literal["better", "worse", "cannot tell"]


def paired(before: Sequence[float], after: Sequence[float], better: Better) -> Change:
    """The change from `before` to `after`, whose k-th values are of one seed.

    It is called better or worse where Student's interval of 95 % around the mean difference leaves out 0. One
    seed never tells; of twenty statements about nothing, one is wrong. The interval speaks of seeds (weights,
    order, chance) on these logs, not of other logs.
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
    """Whether each point is on the front: no other is at least as good in all coordinates and better in one.

    Points with a coordinate that is not a number are never on it, and beat nothing.
    """
    signs = [1.0 if side == "higher" else -1.0 for side in better]
    scored = [[sign * x for sign, x in zip(signs, point, strict=True)] for point in points]
    sound = [all(math.isfinite(x) for x in point) for point in scored]

    def beats(a: list[float], b: list[float]) -> bool:
        return all(x >= y for x, y in zip(a, b, strict=True)) and a != b

    return [
        fine and not any(ok and beats(other, point) for other, ok in zip(scored, sound, strict=True))
        for point, fine in zip(scored, sound, strict=True)
    ]
