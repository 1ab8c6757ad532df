"""The bootstrap interval and p-value of a value, from its values under draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perception.evaluation.statistics.blocks import Blocks
from perception.evaluation.statistics.significance import student_quantile, student_tail
from perception.types import Float64

_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends, and the standard error of the value."""

    low: float
    high: float
    std_error: float


class BootstrapSpread:
    """The spread of a value about the value over all logs of this kind.

    Two stages: logs, and blocks within logs (Davison and Hinkley 1997, section 3.8). Drawing both in turn
    counts the chance within logs twice, since the logs' values vary by it too. So the stages are drawn
    separately and their deviations added: those of the blocks as they are, those of the logs scaled to the
    part of their variance beyond the blocks'. The variance is then the greater of the two unbiased ones.

    Three corrections keep the coverage with few blocks: n / (n - 1) for each variance; correlation between
    neighbouring blocks (`Autocorrelation.missed`); Student's t for the normal distribution, with as many
    degrees of freedom as there are logs, or blocks where logs add nothing, less one. Deviations are taken
    from the median of the draws, so that a statistic whose draws are biased (a calibration error) lies in its
    own interval.

    Args:
        value: The value over all data.
        blocks: The blocks that were drawn.
        by_block: [D] the value under each row of `Draws.blocks`; draws without a number are left out.
        by_log: [D] the same under `Draws.logs`; None: logs were not drawn.
        missed: The factor by which blocks make a standard error too small.
    """

    def __init__(
        self, value: float, blocks: Blocks, by_block: Float64, by_log: Float64 | None, missed: float = 1.0
    ) -> None:
        self.value = value
        count, logs = len(blocks), blocks.logs
        within = _deviations(by_block)
        if count > logs:
            within = within * (missed * np.sqrt(count / (count - logs)))
        variance, freedom = _variance(within), float(max(count - logs, 1))
        self._deviations = within
        if by_log is not None and logs > 1:
            between = _deviations(by_log)
            of_logs = _variance(between) * logs / (logs - 1)
            beyond = max(of_logs - variance, 0.0)
            if beyond > 0:
                pairs = min(len(within), len(between))
                scale = np.sqrt(beyond / _variance(between))
                self._deviations = within[:pairs] + scale * between[:pairs]
                variance, freedom = variance + beyond, logs - 1.0
        self.std_error = float(np.sqrt(variance))
        self.freedom = freedom

    @cached_property
    def known(self) -> bool:
        """Return whether enough draws have a number."""
        return len(self._deviations) >= 100

    def interval(
        self, level: float = 0.95, least: float = -np.inf, greatest: float = np.inf
    ) -> Interval | None:
        """Return the interval, within the range of the value; None if too few draws have a number."""
        if not self.known:
            return None
        tail = (1 - level) / 2
        wider = student_quantile(1 - tail, self.freedom) / _normal_quantile(1 - tail)
        low, high = np.quantile(self._deviations, [tail, 1 - tail]) * wider
        return Interval(
            float(np.clip(self.value + low, least, max(self.value, least))),
            float(np.clip(self.value + high, min(self.value, greatest), greatest)),
            self.std_error,
        )

    def p_value(self) -> float | None:
        """Return the two-sided probability of a value as far from 0 if 0 is true.

        From Student's t of the standard error over the draws: counting draws cannot give less than 1 / D,
        which no correction for many comparisons would leave significant.
        """
        if not self.known:
            return None
        off = abs(self.value)
        if self.std_error <= 1e-12 * max(off, 1e-300):
            return 1.0 if off == 0 else 0.0
        return 2.0 * student_tail(off / self.std_error, self.freedom)


def _deviations(draws: Float64) -> Float64:
    good = draws[np.isfinite(draws)].astype(np.float64)
    deviations: Float64 = good - np.median(good) if len(good) else good
    return deviations


def _variance(deviations: Float64) -> float:
    return float(np.var(deviations)) if len(deviations) else 0.0


def _normal_quantile(share: float) -> float:
    return _NORMAL_975 if share == 0.975 else student_quantile(share, np.inf)
