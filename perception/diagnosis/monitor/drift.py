"""Whether figures are still what is usual: their averages over a short and over a longer time."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan

from perception.diagnosis.monitor.figures import Figures
from perception.diagnosis.monitor.hysteresis import Average
from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.reference import LEVELS, Quantiles

_LOWEST, _LOW, _MIDDLE, _HIGH, _HIGHEST = (LEVELS.index(level) for level in (0.005, 0.05, 0.5, 0.95, 0.995))
_TAIL = 1.566
"""How much farther from the median 99.5 % of normal values reach than 95 %. Figures with longer tails than
that, such as the std of a curvature at a standstill, are measured by the tail: it is usual, too."""
_LEAST_WIDTH = 0.05
"""Relative to the median, or to the upper end: a narrower spread is no measure."""
_LEAST = {"age_ms": 10.0, "still": 0.1}
"""The same in a figure's own unit, of those whose spread may be nothing at all."""
_FARTHEST = 8.0
"""One output counts for no more."""
_FARTHEST_SLOW = 4.0
"""Nor for this over a longer time: so that what is well again is soon believed again."""

UNSURE = (
    *(("class", "best_score", -1.0), ("class", "sureness", -1.0)),
    *(("box", "box_std", 1.0), ("box", "distance_std", 1.0)),
)
"""Figures of detections by head, and which way they go where answers are less sure."""


class Drift:
    """Follows one figure, in constant memory.

    The average over a short time (`window_s`) tells soon what is far off (`drift`). Chance moves the one
    over a longer time (`slow_s`) less, so that it tells of less (`slow_drift`), and later.
    """

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self._limits = limits
        self._now, self._place = Average(limits.window_s), Average(limits.window_s)
        self._slow = Average(limits.slow_s)

    @property
    def now(self) -> float | None:
        """The figure's average over the last moments."""
        return self._now.value

    @property
    def place(self) -> float | None:
        """Where that lies: 0 at the usual median, about 1 where 95 % of the usual figures end."""
        return self._place.value

    def update(self, value: float, usual: Sequence[float], known: bool, elapsed_s: float) -> str:
        """Take in the next value. Returns what is unusual, in words; empty: nothing.

        Args:
            usual: The quantiles at `LEVELS`.
            known: The checkpoint says so; else only the run's own first outputs do.
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


class Unsure:
    """Follows whether detections are altogether less sure than usual: lower scores, wider boxes, vaguer
    distances.

    Each figure varies from scene to scene; their mean varies much less, and where a camera is blurred,
    soiled or noisy they move together. So it tells of what no figure tells alone.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._soon, self._slow = Average(limits.window_s), Average(limits.slow_s)

    def update(self, figures: Figures, usual: Quantiles, elapsed_s: float) -> str:
        """Take in the next output. Returns what is unusual, in words; empty: nothing."""
        places = [
            way * _within(place_of(value, usual[head][name]), _FARTHEST_SLOW)
            for head, name, way in UNSURE
            if name in usual.get(head, {}) and isfinite(value := figures.get(head, {}).get(name, nan))
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
    """A value in units of the usual spread, of the side of the median on which it lies."""
    middle = usual[_MIDDLE]
    if value > middle:
        width = max(usual[_HIGH] - middle, (usual[_HIGHEST] - middle) / _TAIL)
    else:
        width = max(middle - usual[_LOW], (middle - usual[_LOWEST]) / _TAIL)
    width = max(width, _LEAST_WIDTH * max(abs(middle), abs(usual[_HIGH])), least)
    return _within((value - middle) / width, _FARTHEST)


def _within(value: float, most: float) -> float:
    return min(max(value, -most), most)


def _beyond(average: Average, limit: float) -> bool:
    return average.value is not None and abs(average.value) > limit
