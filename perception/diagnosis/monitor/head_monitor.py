"""The monitor of one head: validity, the subset of the sensors it rests on, drift of its statistics."""

from __future__ import annotations

from collections.abc import Mapping

from perception.diagnosis.monitor.baseline_stats import LEAST, SubsetStats
from perception.diagnosis.monitor.drift import Drift
from perception.diagnosis.monitor.hysteresis import FadingAverage
from perception.diagnosis.monitor.limits import Limits


class HeadMonitor:
    """Follows one head from output to output, in constant memory."""

    def __init__(self, head: str, limits: Limits) -> None:
        self.head = head
        self._limits = limits
        self.outputs = self.valid = 0
        self._invalid, self._weak = FadingAverage(limits.window_s), FadingAverage(limits.window_s)
        self._weak_text = ""
        self.drifts: dict[str, Drift] = {}
        self.usual: Mapping[str, tuple[float, ...]] = {}

    def update(
        self,
        valid: bool,
        error: str,
        statistics: Mapping[str, float],
        subset: str,
        stats: Mapping[str, SubsetStats] | None,
        known: bool,
        degraded: str,
        elapsed_s: float,
    ) -> dict[str, str]:
        """Add one output; return its problems, code -> words.

        Args:
            subset: The inputs that the head rests on: `camera+range`.
            stats: The baseline by subset; None: not known yet.
            known: It is the checkpoint's; else that of the run's own first outputs.
            degraded: How much less the head usually gives on that subset; empty: not much.
        """
        self.outputs += 1
        self.valid += valid
        self._invalid.add(0.0 if valid else 1.0, elapsed_s)
        problems: dict[str, str] = {}
        if self._invalid.value is not None and self._invalid.value > self._limits.invalid:
            problems["invalid"] = f"it does not answer{f' ({error})' if error else ''}"
        if valid:
            self._weak.add(1.0 if degraded else 0.0, elapsed_s)
            self._weak_text = degraded or self._weak_text
            if (self._weak.value or 0.0) > self._limits.invalid:
                problems["weak"] = self._weak_text
        if not valid or stats is None:
            return problems
        usual = stats.get(subset)
        if usual is None or usual.frames < LEAST:
            problems["subset"] = f"it rests on {subset} alone, of which nothing is known"
            return problems
        self.usual = usual.quantiles.get(self.head, {})
        for name, quantiles in self.usual.items():
            if name in statistics:
                drift = self.drifts.setdefault(name, Drift(name, self._limits))
                text = drift.update(statistics[name], quantiles, known, elapsed_s)
                problems |= {f"drift/{name}": text} if text else {}
        return problems
