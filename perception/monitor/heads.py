"""What a monitor watches of one head: whether it answers, on what, and whether its figures are usual."""

from __future__ import annotations

from collections.abc import Mapping

from perception.monitor.hysteresis import Average
from perception.monitor.limits import Limits
from perception.monitor.reference import LEAST, LEVELS, SubsetStats

_LOW, _MIDDLE, _HIGH = (LEVELS.index(level) for level in (0.05, 0.5, 0.95))
_LEAST_WIDTH = 0.05
"""Of scores, and relative to the median of what has a unit: a narrower spread is no measure."""
_FARTHEST = 20.0


class HeadWatch:
    """Follows one head from output to output, in constant memory."""

    def __init__(self, head: str, limits: Limits) -> None:
        self.head = head
        self._limits = limits
        self.outputs = self.valid = 0
        self._invalid = Average(limits.window_s)
        self._places: dict[str, Average] = {}
        self.now: dict[str, Average] = {}
        self.usual: Mapping[str, tuple[float, ...]] = {}

    def update(
        self,
        valid: bool,
        error: str,
        figures: Mapping[str, float],
        subset: str,
        stats: Mapping[str, SubsetStats] | None,
        drift: float,
        elapsed_s: float,
    ) -> dict[str, str]:
        """Take in one output. Returns what is wrong now: code -> words.

        Args:
            subset: The inputs that the head rests on: `camera+range`.
            stats: What is usual, by subset; None: not known yet.
            drift: The limit of a figure's average.
        """
        self.outputs += 1
        self.valid += valid
        self._invalid.add(0.0 if valid else 1.0, elapsed_s)
        found: dict[str, str] = {}
        if self._invalid.value is not None and self._invalid.value > self._limits.invalid:
            found["invalid"] = f"it does not answer{f' ({error})' if error else ''}"
        if not valid or stats is None:
            return found
        usual = stats.get(subset)
        if usual is None or usual.frames < LEAST:
            found["subset"] = f"it rests on {subset} alone, of which nothing is known"
            return found
        self.usual = usual.quantiles.get(self.head, {})
        for name, quantiles in self.usual.items():
            if name in figures:
                found |= self._drift(name, figures[name], quantiles, drift, elapsed_s)
        return found

    def place(self, name: str) -> float | None:
        """Where a figure's average lies: 0 at the usual median, 1 where 95 % of the usual figures end."""
        average = self._places.get(name)
        return None if average is None else average.value

    def _drift(
        self, name: str, value: float, quantiles: tuple[float, ...], limit: float, elapsed_s: float
    ) -> dict[str, str]:
        self.now.setdefault(name, Average(self._limits.window_s)).add(value, elapsed_s)
        average = self._places.setdefault(name, Average(self._limits.window_s))
        average.add(_place(value, quantiles), elapsed_s)
        if average.value is None or abs(average.value) <= limit:
            return {}
        now = self.now[name].value
        usual = f"{quantiles[_LOW]:.3g} to {quantiles[_HIGH]:.3g}"
        return {f"drift/{name}": f"{name.replace('_', ' ')} is about {now:.3g}, usual is {usual}"}


def _place(value: float, quantiles: tuple[float, ...]) -> float:
    """A value in units of the usual spread, of the side of the median on which it lies."""
    middle = quantiles[_MIDDLE]
    width = quantiles[_HIGH] - middle if value > middle else middle - quantiles[_LOW]
    width = max(width, _LEAST_WIDTH * max(abs(middle), abs(quantiles[_HIGH])), 1e-9)
    return min(max((value - middle) / width, -_FARTHEST), _FARTHEST)
