"""The confidence intervals of the values of a report, limited to the range of each value."""

from __future__ import annotations

import numpy as np

from perception.evaluation.report.value_schema import (
    DifferenceReport,
    Heads,
    IntervalReport,
    MetricReport,
    ValueReport,
    Verdict,
)
from perception.evaluation.resampling import Resampler, Scored
from perception.types import Float64

ALPHA = 0.05

_UNBOUNDED = frozenset(
    (
        *("MAE", "RMSE", "MAE_mean", "MAE_persistence"),
        *("position_abs", "position_along", "position_across", "position_NEES"),
    )
)
"""Values from 0 on; those that are not named here or in `range_of` are shares."""


def with_intervals(heads: Heads, scored: Scored, resampler: Resampler) -> dict[str, dict[str, MetricReport]]:
    """Return the same values, with intervals where they can be computed."""
    redrawn = resampler.redrawn(scored)
    guests = {guest.name for guest in scored.suite.guests}
    by_head: dict[str, dict[str, MetricReport]] = {}
    for head, metrics in heads.items():
        by_head[head] = {}
        for name, metric in metrics.items():
            guest = name in guests
            by_block, by_log = redrawn.get(f"{head}/{name}" if guest else head, ({}, None))
            values = {
                key: _with_interval(
                    head,
                    value,
                    resampler,
                    by_block.get(key),
                    None if by_log is None else by_log.get(key),
                    range_of(key, guest),
                )
                for key, value in metric.values.items()
            }
            by_head[head][name] = metric.model_copy(update={"values": values})
    return by_head


def _with_interval(
    head: str,
    value: ValueReport,
    resampler: Resampler,
    by_block: Float64 | None,
    by_log: Float64 | None,
    bounds: tuple[float, float],
) -> ValueReport:
    if value.value is None or by_block is None:
        return value
    spread = resampler.spread(head, value.value, by_block, by_log)
    limits = None if spread is None else spread.interval(resampler.options.level, *bounds)
    if limits is None:
        return value
    interval = IntervalReport(low=limits.low, high=limits.high, std_error=limits.std_error)
    return value.model_copy(update={"interval": interval})


def range_of(key: str, guest: bool = False) -> tuple[float, float]:
    """Return the bounds of a value by its name; unbounded for metrics of other packages."""
    if guest:
        return -np.inf, np.inf
    name = key.partition("/")[0]
    if name.startswith(("bias", "distance_bias")) or name.endswith("NLL"):
        return -np.inf, np.inf
    if name == "R2":
        return -np.inf, 1.0
    if name in _UNBOUNDED or name.startswith(("distance_abs", "distance_rel")):
        return 0.0, np.inf
    return 0.0, 1.0


def difference_of(
    resampler: Resampler, head: str, value: float, by_block: Float64, by_log: Float64 | None
) -> DifferenceReport:
    """Return a difference, with its interval and p-value where they can be computed.

    Args:
        resampler: The source of the draws.
        head: The head of the value.
        value: The difference.
        by_block: [D] the same under draws of blocks.
        by_log: [D] the same under draws of logs; None: too few logs.
    """
    spread = resampler.spread(head, value, by_block, by_log)
    interval = None if spread is None else spread.interval(resampler.options.level)
    if spread is None or interval is None:
        return DifferenceReport(value=value)
    return DifferenceReport(value=value, low=interval.low, high=interval.high, p=spread.p_value())


def judged(difference: DifferenceReport, p_corrected: float | None, better: str) -> DifferenceReport:
    """Return the difference with its corrected p-value and verdict."""
    outcome = verdict(difference.value, p_corrected, better)
    return difference.model_copy(update={"p_corrected": p_corrected, "verdict": outcome})


def verdict(difference: float | None, p_corrected: float | None, better: str) -> Verdict:
    """Return the verdict of a difference at the 5 % level; `cannot tell` without a better direction."""
    if difference is None or p_corrected is None or p_corrected >= ALPHA or not better or difference == 0:
        return "cannot tell"
    return "better" if (difference > 0) == (better == "higher") else "worse"
