"""Drift of statistics away from the baseline: their averages over a short and over a longer time."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan

from perception.diagnosis.monitor.baseline_stats import LEVELS, Quantiles
from perception.diagnosis.monitor.hysteresis import FadingAverage
from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.output_statistics import Statistics

_LOWEST, _LOW, _MIDDLE, _HIGH, _HIGHEST = (LEVELS.index(level) for level in (0.005, 0.05, 0.5, 0.95, 0.995))
_TAIL = 1.566
"""How much farther from the median 99.5 % of normal values reach than 95 %. Statistics with longer tails than
that, such as the std of a curvature at a standstill, are measured by the tail: it is usual, too."""
_LEAST_WIDTH = 0.05
"""Relative to the median, or to the upper end: the least width of the usual range."""
_LEAST = {"age_ms": 10.0, "still": 0.1}
"""The smallest width of the usual range, in the unit of each statistic whose range may have none."""
_FARTHEST = 8.0
"""The greatest place of one output."""
_FARTHEST_SLOW = 4.0
"""The greatest place in the longer average, so that a head that has recovered is soon believed again."""

CONFIDENCE = (
    *(("class", "best_score", -1.0), ("class", "sureness", -1.0)),
    *(("box", "box_std", 1.0), ("box", "distance_std", 1.0)),
)
"""Statistics of detections by head, and which way they go where answers are less sure."""


class Drift:
    """Follows one statistic, in constant memory.

    The average over a short time (`window_s`) shows large drifts soon (`drift`). Chance moves the one over a
    longer time (`slow_s`) less, so that it shows smaller ones (`slow_drift`), and later.
    """

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self._limits = limits
        self._now, self._place = FadingAverage(limits.window_s), FadingAverage(limits.window_s)
        self._slow = FadingAverage(limits.slow_s)

    @property
    def now(self) -> float | None:
        """The statistic's average over the short time."""
        return self._now.value

    @property
    def place(self) -> float | None:
        """The average place: 0 at the usual median, about 1 at the 95th percentile."""
        return self._place.value

    def update(self, value: float, usual: Sequence[float], known: bool, elapsed_s: float) -> str:
        """Add the next value; return how it drifted, in words, or an empty text.

        Args:
            usual: The quantiles at `LEVELS`.
            known: They are the checkpoint's; else those of the run's own first outputs.
        """
        where = place_of(value, usual, _LEAST.get(self.name, 1e-9))
        self._now.add(value, elapsed_s)
        self._place.add(where, elapsed_s)
        self._slow.add(_within(where, _FARTHEST_SLOW), elapsed_s)
        limits = self._limits
        odd = _beyond(self._place, limits.drift if known else limits.own_drift)
        if known and self._slow.settled:
            odd = odd or _beyond(self._slow, limits.slow_drift)
        if not odd:
            return ""
        low, high = usual[_LOW], usual[_HIGH]
        return f"{self.name.replace('_', ' ')} is about {self.now:.3g}, usual is {low:.3g} to {high:.3g}"


class ConfidenceDrift:
    """Follows the confidence of detections: lower scores, wider boxes and vaguer distances together.

    Each statistic varies from scene to scene; their mean varies much less, and where a camera is blurred,
    soiled or noisy they move together.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._soon, self._slow = FadingAverage(limits.window_s), FadingAverage(limits.slow_s)

    def update(self, statistics: Statistics, usual: Quantiles, elapsed_s: float) -> str:
        """Add the next output; return the drift in words, or an empty text."""
        places = [
            way * _within(place_of(value, usual[head][name]), _FARTHEST_SLOW)
            for head, name, way in CONFIDENCE
            if name in usual.get(head, {}) and isfinite(value := statistics.get(head, {}).get(name, nan))
        ]
        if places:
            mean = sum(places) / len(places)
            self._soon.add(mean, elapsed_s)
            self._slow.add(mean, elapsed_s)
        limits = self._limits
        low = (self._soon.value or 0.0) > limits.unsure
        low = low or (self._slow.settled and (self._slow.value or 0.0) > limits.slow_unsure)
        return "scores and deviations are altogether less sure than usual" if low else ""


def place_of(value: float, usual: Sequence[float], least: float = 1e-9) -> float:
    """Return a value in units of the usual range, on the side of the median on which it lies."""
    middle = usual[_MIDDLE]
    if value > middle:
        width = max(usual[_HIGH] - middle, (usual[_HIGHEST] - middle) / _TAIL)
    else:
        width = max(middle - usual[_LOW], (middle - usual[_LOWEST]) / _TAIL)
    width = max(width, _LEAST_WIDTH * max(abs(middle), abs(usual[_HIGH])), least)
    return _within((value - middle) / width, _FARTHEST)


def _within(value: float, most: float) -> float:
    return min(max(value, -most), most)


def _beyond(average: FadingAverage, limit: float) -> bool:
    return average.value is not None and abs(average.value) > limit
