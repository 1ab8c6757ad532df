"""A difference between two values: its interval, its p-value, and what it means."""

from __future__ import annotations

from perception.evaluation.report.schema import DifferenceReport, Verdict
from perception.evaluation.resampling import Resampler
from perception.types import Float64

ALPHA = 0.05


def difference_of(
    resampler: Resampler, head: str, value: float, by_block: Float64, by_log: Float64 | None
) -> DifferenceReport:
    """A difference with its interval and p-value, where it can have them.

    Args:
        resampler: Drew it again.
        head: What it is about.
        value: The difference.
        by_block: [D] the same under draws of blocks.
        by_log: [D] under draws of logs; None: they are too few.
    """
    spread = resampler.spread(head, value, by_block, by_log)
    interval = None if spread is None else spread.interval(resampler.options.level)
    if spread is None or interval is None:
        return DifferenceReport(value=value)
    return DifferenceReport(value=value, low=interval.low, high=interval.high, p=spread.p_value())


def judged(difference: DifferenceReport, p_corrected: float | None, better: str) -> DifferenceReport:
    """The same with its corrected p-value and verdict."""
    told = verdict(difference.value, p_corrected, better)
    return difference.model_copy(update={"p_corrected": p_corrected, "verdict": told})


def verdict(difference: float | None, p_corrected: float | None, better: str) -> Verdict:
    """What a difference means at the 5 % level; where neither direction is better, nothing."""
    if difference is None or p_corrected is None or p_corrected >= ALPHA or not better or difference == 0:
        return "cannot tell"
    return "better" if (difference > 0) == (better == "higher") else "worse"
